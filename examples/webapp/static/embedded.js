// Takes the code from the provider's page, in the frame, to the application's callback.
// What happens to it there is the same as after a redirect.
"use strict";

const page = document.getElementById("embedded");
const frame = document.getElementById("consent");
const answer = document.getElementById("answer");

window.addEventListener("message", (event) => {
  // Any page can send messages to this one: only those of the provider count, and of them
  // those from this frame.
  if (event.origin !== page.dataset.origin || event.source !== frame.contentWindow) return;
  const message = event.data;
  if (typeof message !== "object" || message === null || message.name !== page.dataset.message) return;
  if (message.kind !== "success") {
    location.assign(page.dataset.denied);
    return;
  }
  answer.elements.code.value = message.code;
  answer.elements.state.value = message.state; // which the callback checks
  answer.submit();
});

frame.src = page.dataset.consent; // not before this page listens
