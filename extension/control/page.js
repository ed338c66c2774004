// Keeps the status page as it is now: replaces sections that have changed, without a reload.
"use strict";

const live = document.getElementById("live");
const focusable = "a, button, [tabindex]";

// replace puts a section in its place, and keeps the reader's: what has focus, and how far tables are scrolled.
function replace(id, html) {
  const old = document.getElementById(id);
  const box = document.createElement("template");
  box.innerHTML = html;
  const section = box.content.firstElementChild;
  if (!old) {
    document.getElementById("content").append(section);
    return;
  }
  const focused = [...old.querySelectorAll(focusable)].indexOf(document.activeElement);
  const scrolled = [...old.querySelectorAll(".scroll")].map((e) => e.scrollLeft);
  old.replaceWith(section);
  section.querySelectorAll(".scroll").forEach((e, i) => { e.scrollLeft = scrolled[i] || 0; });
  if (focused >= 0) {
    section.querySelectorAll(focusable)[focused]?.focus({ preventScroll: true });
  }
}

const stream = new EventSource("live");
stream.addEventListener("section", (event) => {
  const { id, html } = JSON.parse(event.data);
  replace(id, html);
});
stream.addEventListener("beat", (event) => {
  live.textContent = JSON.parse(event.data) + ", live";
  live.className = "good";
});
stream.addEventListener("error", () => {
  live.textContent = "not connected: the agent does not answer; trying again";
  live.className = "bad";
});
