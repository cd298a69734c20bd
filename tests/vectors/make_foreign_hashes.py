#!/usr/bin/env python3
"""Make foreign_hashes.tsv: password hashes as other systems store them.

Made with Python 3.11 and these packages:

    pip install Django==5.2.19 passlib==1.7.4 bcrypt==4.3.0 argon2-cffi==25.1.0 Werkzeug==3.1.9
    python make_foreign_hashes.py > foreign_hashes.tsv

bcrypt 4.3.0 is the last release that cuts a password at 72 bytes by itself, as the systems that
wrote such hashes did; bcrypt 5 refuses a longer one, and passlib 1.7.4 does not work with it.

Every hash comes from the library that the format belongs to, and the same library checks it before
it is written. The two exceptions: `$2y$` is a `$2b$` hash with the prefix that PHP writes, and the
ASP.NET Core Identity layouts are built here on hashlib. Salts are derived from the name of the
format, so that another run writes the same file.

Columns, separated by tabs:

    format    the layout, and for most the system that writes it
    cost      `cheap`, or `default` for the cost that Django itself uses
    password  as a JSON string
    encoded   the stored hash
    verifies  `yes`, `no`, or `truncated`: 73 bytes against the hash of the first 72, which bcrypt
              takes for the same password
"""

import base64
import functools
import hashlib
import hmac
import json
import logging
import string
import struct
import unicodedata
from unittest import mock

import argon2
import bcrypt
import django.conf
import passlib.hash
import werkzeug.security
from argon2.low_level import Type
from django.contrib.auth import hashers
from passlib.utils.binary import bcrypt64

# passlib 1.7.4 asks bcrypt for its version where bcrypt no longer has it, and only warns.
logging.getLogger("passlib").setLevel(logging.ERROR)

DJANGO_HASHERS = [
    hashers.PBKDF2PasswordHasher,
    hashers.PBKDF2SHA1PasswordHasher,
    hashers.Argon2PasswordHasher,
    hashers.BCryptPasswordHasher,
    hashers.BCryptSHA256PasswordHasher,
    hashers.ScryptPasswordHasher,
    hashers.MD5PasswordHasher,
]
django.conf.settings.configure(
    PASSWORD_HASHERS=[f"{hasher.__module__}.{hasher.__name__}" for hasher in DJANGO_HASHERS]
)

PLAIN = "Correct-horse-42"
SPACES = "  two spaces  and one "
NUL = " before\0and after "  # has spaces too
NFC = unicodedata.normalize("NFC", "p\u00e4ssw\u00f6rd")
NFD = unicodedata.normalize("NFD", NFC)
BYTES_71 = ("seventy-one bytes with spaces " * 3)[:71]
BYTES_72 = ("0123456789abcdef" * 5)[:72]
BYTES_73 = BYTES_72 + "!"
BYTES_100 = ("one hundred bytes " * 6)[:100]

# (password that is hashed, password that is checked, expected result)
YES_PLAIN = (PLAIN, PLAIN, "yes")
YES_SPACES = (SPACES, SPACES, "yes")
YES_NUL = (NUL, NUL, "yes")
YES_TEXT = [(NFC, NFC, "yes"), (NFD, NFD, "yes")]
NO_CASE = (PLAIN, PLAIN.lower(), "no")
NO_TRIMMED = (SPACES, SPACES.rstrip(), "no")
NO_CUT_AT_NUL = (NUL, NUL.split("\0")[0], "no")

# One format of each layout has all passwords; those that differ from it only in a digest or a
# prefix have fewer. Each has ASCII, spaces, NFC, NFD, a wrong password, and a NUL unless it is a
# bcrypt or MD5. passlib_bcrypt, which is bcrypt_2b again, has two vectors only.
FULL = [YES_PLAIN, YES_NUL, *YES_TEXT, NO_CUT_AT_NUL]
VARIANT = [YES_NUL, *YES_TEXT, NO_TRIMMED]
BCRYPT_VARIANT = [
    *YES_TEXT,
    (BYTES_71, BYTES_71, "yes"),
    (BYTES_72, BYTES_72, "yes"),
    (BYTES_72, BYTES_73, "truncated"),
    (BYTES_72, BYTES_72[:-1], "no"),
]
BCRYPT_FULL = [YES_PLAIN, *BCRYPT_VARIANT]
DEFAULT = [YES_PLAIN]


def alphanumeric(seed, length):
    """A salt of letters and digits from a seed of 32 bytes."""
    alphabet = string.ascii_letters + string.digits
    return "".join(alphabet[byte % len(alphabet)] for byte in seed[:length])


def bcrypt_salt(prefix, cost, seed):
    return f"${prefix}${cost:02}${bcrypt64.encode_bytes(seed[:16]).decode()}".encode()


# Each maker takes the password, a seed of 32 bytes for the salt, and the number of the vector, from
# which it chooses a cost.


def django_cheap(hasher):
    def make(password, seed, number):
        salt = alphanumeric(seed, 22)
        if isinstance(hasher, hashers.PBKDF2PasswordHasher):
            return hasher.encode(password, salt, iterations=1 + 12 * number)
        if isinstance(hasher, hashers.ScryptPasswordHasher):
            n, r, p = 2 ** (4 + number), 1 + number, 1 + number % 3
            return hasher.encode(password, salt, n, r, p)
        if isinstance(hasher, hashers.Argon2PasswordHasher):
            hasher.time_cost, hasher.parallelism = 1 + number % 3, 1 + number % 4
            hasher.memory_cost = 64 << number
        if isinstance(hasher, hashers.BCryptSHA256PasswordHasher):  # BCryptPasswordHasher too
            salt = bcrypt_salt("2b", 4 + number % 2, seed)
        return hasher.encode(password, salt)

    return make


def django_default(hasher):
    def make(password, seed, number):
        salt = alphanumeric(seed, 22)
        if isinstance(hasher, hashers.BCryptSHA256PasswordHasher):
            salt = bcrypt_salt("2b", hasher.rounds, seed)
        return hashers.make_password(password, salt, hasher.algorithm)

    return make


def django_unusable(password, seed, number):
    def suffix(length):
        return alphanumeric(seed + seed, length)

    with mock.patch.object(hashers, "get_random_string", suffix):
        return hashers.make_password(None)


def passlib_pbkdf2(handler):
    def make(password, seed, number):
        return handler.using(salt=seed[: 16 + number], rounds=1 + 12 * number).hash(password)

    return make


def passlib_digest(handler):
    def make(password, seed, number):
        salted = "salt" in handler.setting_kwds
        return (handler.using(salt=alphanumeric(seed, 12)) if salted else handler).hash(password)

    return make


def passlib_scrypt(password, seed, number):
    handler = passlib.hash.scrypt.using(salt=seed[: 16 + number], rounds=4 + number)
    return handler.using(block_size=1 + number, parallelism=1 + number % 3).hash(password)


def passlib_bcrypt(password, seed, number):
    salt = bcrypt64.encode_bytes(seed[:16]).decode()
    return passlib.hash.bcrypt.using(salt=salt, rounds=4).hash(password)


def raw_bcrypt(prefix):
    def make(password, seed, number):
        hashed_as = "2b" if prefix == "2y" else prefix
        salt = bcrypt_salt(hashed_as, 4 + number % 2, seed)
        encoded = bcrypt.hashpw(password.encode(), salt).decode()
        return encoded.replace(f"${hashed_as}$", f"${prefix}$", 1)

    return make


def phc_argon2(variant):
    def make(password, seed, number):
        return argon2.low_level.hash_secret(
            password.encode(),
            salt=seed[: 16 + number],
            time_cost=1 + number % 3,
            memory_cost=64 << number,
            parallelism=1 + number % 4,
            hash_len=32 - number % 3,
            type=variant,
        ).decode()

    return make


def werkzeug_hash(method):
    def make(password, seed, number):
        if method == "scrypt":
            # Below N = 128 Werkzeug gives OpenSSL less memory than it asks for.
            cost = f"scrypt:{2 ** (7 + number % 2)}:{1 + number}:{1 + number % 3}"
        else:
            cost = f"{method}:{1 + 12 * number}"
        salt = functools.partial(alphanumeric, seed)
        with mock.patch.object(werkzeug.security, "gen_salt", salt):
            return werkzeug.security.generate_password_hash(password, cost)

    return make


ASPNET_PRF = ["sha1", "sha256", "sha512"]  # by their number in the v3 layout


def aspnet_v2(password, seed, number):
    salt = seed[:16]
    subkey = hashlib.pbkdf2_hmac("sha1", password.encode(), salt, 1000, 32)
    return base64.b64encode(b"\x00" + salt + subkey).decode()


def aspnet_v3(prf):
    def make(password, seed, number):
        iterations = 1 + 12 * number
        salt = seed[: (16, 24, 32)[number % 3]]
        length = (32, 16, 64)[number % 3]
        subkey = hashlib.pbkdf2_hmac(prf, password.encode(), salt, iterations, length)
        header = struct.pack(">BIII", 1, ASPNET_PRF.index(prf), iterations, len(salt))
        return base64.b64encode(header + salt + subkey).decode()

    return make


def aspnet_check(password, encoded):
    blob = base64.b64decode(encoded, validate=True)
    if blob[0] == 0:
        prf, iterations, at, salt_length = "sha1", 1000, 1, 16
    else:
        _, prf, iterations, salt_length = struct.unpack(">BIII", blob[:13])
        prf, at = ASPNET_PRF[prf], 13
    salt, subkey = blob[at : at + salt_length], blob[at + salt_length :]
    actual = hashlib.pbkdf2_hmac(prf, password.encode(), salt, iterations, len(subkey))
    return hmac.compare_digest(actual, subkey)


def argon2_check(password, encoded):
    try:
        return argon2.PasswordHasher().verify(encoded, password)
    except argon2.exceptions.VerifyMismatchError:
        return False


def bcrypt_check(password, encoded):
    return bcrypt.checkpw(password.encode(), encoded.encode())


def werkzeug_check(password, encoded):
    return werkzeug.security.check_password_hash(encoded, password)


def django_check(password, encoded):
    # Not check_password, which runs a wrong password at the full cost of the hasher as well.
    if not hashers.is_password_usable(encoded):
        return hashers.check_password(password, encoded)
    return hashers.identify_hasher(encoded).verify(password, encoded)


def vectors():
    """Yield (format, cost, maker, checker, cases)."""
    for hasher_class in DJANGO_HASHERS:
        hasher = hasher_class()
        cases = {
            "pbkdf2_sha256": FULL,
            "bcrypt": BCRYPT_VARIANT,
            "bcrypt_sha256": [
                *YES_TEXT,
                (BYTES_100, BYTES_100, "yes"),
                (BYTES_100, BYTES_100[:-1] + "?", "no"),
            ],
            "md5": [YES_SPACES, *YES_TEXT, NO_TRIMMED],
        }.get(hasher.algorithm, VARIANT)
        name = f"django_{hasher.algorithm}"
        yield name, "cheap", django_cheap(hasher), django_check, cases
        if hasher.algorithm != "md5":  # it has no cost
            yield name, "default", django_default(hasher_class()), django_check, DEFAULT
    unusable_cases = [(PLAIN, PLAIN, "no"), ("", "", "no")]
    yield "django_unusable", "cheap", django_unusable, django_check, unusable_cases

    for name, cases in [
        ("pbkdf2_sha1", VARIANT),
        ("pbkdf2_sha256", FULL),
        ("pbkdf2_sha512", VARIANT),
    ]:
        handler = getattr(passlib.hash, name)
        yield f"passlib_{name}", "cheap", passlib_pbkdf2(handler), handler.verify, cases
    for name in ["django_salted_sha1", "hex_md5", "hex_sha1", "hex_sha256"]:
        handler = getattr(passlib.hash, name)
        cases = [YES_SPACES, *YES_TEXT, NO_TRIMMED]
        yield f"passlib_{name}", "cheap", passlib_digest(handler), handler.verify, cases
    handler = passlib.hash.bcrypt
    yield "passlib_bcrypt", "cheap", passlib_bcrypt, handler.verify, [YES_TEXT[0], NO_CASE]
    yield "phc_scrypt", "cheap", passlib_scrypt, passlib.hash.scrypt.verify, FULL

    for variant, cases in [(Type.I, VARIANT), (Type.D, VARIANT), (Type.ID, FULL)]:
        name = f"phc_argon2{variant.name.lower()}"
        yield name, "cheap", phc_argon2(variant), argon2_check, cases
    for prefix, cases in [("2a", BCRYPT_VARIANT), ("2b", BCRYPT_FULL), ("2y", BCRYPT_VARIANT)]:
        yield f"bcrypt_{prefix}", "cheap", raw_bcrypt(prefix), bcrypt_check, cases

    for method, cases in [
        ("scrypt", FULL),
        ("pbkdf2:sha256", FULL),
        ("pbkdf2:sha512", VARIANT),
        ("pbkdf2:sha1", VARIANT),
    ]:
        name = "werkzeug_" + method.replace(":", "_")
        yield name, "cheap", werkzeug_hash(method), werkzeug_check, cases
    yield "aspnet_v2", "cheap", aspnet_v2, aspnet_check, FULL
    for prf in ASPNET_PRF:
        cases = FULL if prf == "sha256" else VARIANT
        yield f"aspnet_v3_{prf}", "cheap", aspnet_v3(prf), aspnet_check, cases


def main():
    assert [len(p.encode()) for p in (BYTES_71, BYTES_72, BYTES_73, BYTES_100)] == [71, 72, 73, 100]
    assert NFC != NFD
    print("#format", "cost", "password", "encoded", "verifies", sep="\t")
    for name, cost, make, check, cases in vectors():
        for number, (hashed, checked, verifies) in enumerate(cases):
            seed = hashlib.sha256(f"{name} {cost} {hashed}".encode()).digest()
            encoded = make(hashed, seed, number)
            if name != "django_unusable":
                assert check(hashed, encoded), (name, hashed, encoded)
            assert bool(check(checked, encoded)) == (verifies != "no"), (name, checked, encoded)
            print(name, cost, json.dumps(checked), encoded, verifies, sep="\t")


if __name__ == "__main__":
    main()
