// What the page does better with JavaScript. Without it everything works as well.
"use strict";

// A second click sends nothing, and the button comes back with the back button.
for (const form of document.querySelectorAll("form[method=post]")) {
  const button = form.querySelector("button");
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    button.setAttribute("aria-disabled", "true");
    button.dataset.text = button.textContent;
    button.textContent = "One moment …";
    // Who stops a page that does not come can send it again: it is the same request.
    window.setTimeout(again, 20000);
  });
  const again = () => {
    delete form.dataset.sent;
    button.removeAttribute("aria-disabled");
    if (button.dataset.text) {
      button.textContent = button.dataset.text;
    }
  };
  window.addEventListener("pageshow", again);
}

// How hard a password is to guess, about: the server knows better, and decides.
const register = document.getElementById("register");
if (register) {
  const words = ["Very weak", "Weak", "Fair", "Good", "Strong"];
  const password = register.elements.password;
  const meter = document.getElementById("strength");
  const text = document.getElementById("strength-text");
  const row = register.querySelector(".strength");
  const show = () => {
    const own = [register.elements.username.value, register.elements.email.value.split("@")[0]];
    const score = strength(password.value, own);
    row.hidden = !password.value;
    meter.value = score;
    text.textContent = password.value ? words[score] : "";
  };
  for (const input of [password, register.elements.username, register.elements.email]) {
    input.addEventListener("input", show);
  }
}

// What is wrong is overwritten by the next key.
document.querySelector("input[autofocus]")?.select();

function strength(password, own) {
  let rest = password.toLowerCase();
  for (const name of own) {
    if (name.length > 2) {
      rest = rest.split(name.toLowerCase()).join("");
    }
  }
  // Runs such as "aaaa" and "1234" are worth one character.
  rest = [...rest].filter((character, place, all) => {
    const before = place > 0 ? all[place - 1].codePointAt(0) : -9;
    return Math.abs(character.codePointAt(0) - before) > 1;
  });
  const distinct = new Set(rest).size;
  const bits = Math.min(rest.length, distinct * 2) * (distinct > 9 ? 4 : 3);
  return [24, 34, 46, 60].filter((enough) => bits >= enough).length;
}
