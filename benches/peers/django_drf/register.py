"""Registers users with the register view that tutorials of Django REST framework show."""

import sys
from contextlib import nullcontext
from pathlib import Path

import django
from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import worker

parser = worker.argument_parser()
parser.add_argument("--bulk", type=int, metavar="N", help="import so many users with bulk_create instead")
arguments = parser.parse_args()


class Hasher(Argon2PasswordHasher):
    time_cost = arguments.passes
    memory_cost = arguments.memory_kib
    parallelism = 1


def database(url):
    if path := worker.sqlite_path(url):
        pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384;"
        options = {"timeout": 5, "init_command": pragmas}
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "OPTIONS": options}
    from psycopg.conninfo import conninfo_to_dict

    parameters = conninfo_to_dict(url)
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    own = {name: parameters.pop(parameter, "") for name, parameter in names.items()}
    return {"ENGINE": "django.db.backends.postgresql", **own, "OPTIONS": parameters}


VALIDATORS = (
    "UserAttributeSimilarityValidator",
    "MinimumLengthValidator",
    "CommonPasswordValidator",
    "NumericPasswordValidator",
)
settings.configure(
    SECRET_KEY="not used",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework"],
    DATABASES={"default": database(arguments.database)},
    PASSWORD_HASHERS=[f"{__name__}.Hasher"],
    AUTH_PASSWORD_VALIDATORS=[{"NAME": f"django.contrib.auth.password_validation.{name}"} for name in VALIDATORS],
    USE_TZ=True,
)
django.setup()

# What follows needs the settings.
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework import generics, permissions, serializers
from rest_framework.test import APIRequestFactory
from rest_framework.validators import UniqueValidator


class RegisterSerializer(serializers.ModelSerializer):
    email = serializers.EmailField(validators=[UniqueValidator(queryset=User.objects.all(), lookup="iexact")])
    password = serializers.CharField(write_only=True, validators=[validate_password])

    class Meta:
        model = User
        fields = ["id", "username", "email", "password"]

    def create(self, validated_data):
        return User.objects.create_user(**validated_data)


class RegisterView(generics.CreateAPIView):
    queryset = User.objects.all()
    permission_classes = [permissions.AllowAny]
    serializer_class = RegisterSerializer


view = RegisterView.as_view()
requests = APIRequestFactory()


def register():
    name = worker.fresh_name()
    body = {"username": name, "email": f"{name}@example.org", "password": worker.PASSWORD}
    response = view(requests.post("/register", body, format="json")).render()
    if response.status_code != 201:
        sys.exit(f"{response.status_code}: {response.content}")


def import_users(count):
    password = make_password(worker.PASSWORD)
    names = [worker.fresh_name() for _ in range(count)]
    users = [User(username=name, email=f"{name}@example.org", password=password) for name in names]
    connection.ensure_connection()
    measurement = worker.Measurement()
    User.objects.bulk_create(users, batch_size=500)
    measurement.report(count)


def main():
    if arguments.prepare:
        return call_command("migrate", verbosity=0)
    if arguments.bulk:
        return import_users(arguments.bulk)
    for _ in range(worker.WARM_UP):
        register()
    with CaptureQueriesContext(connection) if arguments.count_statements else nullcontext() as queries:
        measurement = worker.Measurement()
        for _ in range(arguments.count):
            register()
    measurement.report(arguments.count, queries and [query["sql"] for query in queries])


main()
