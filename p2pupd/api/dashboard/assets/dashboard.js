// Follows the device: puts the parts of the page in place that have changed since it was loaded.
// The page says everything without it.
"use strict";
(() => {
  const main = document.querySelector("main[data-events]");
  if (!main || !window.EventSource) return;
  const link = document.getElementById("link");
  let version = main.dataset.version;
  let source = null;
  let wait = 1000;

  const parsed = (markup) => new DOMParser().parseFromString(markup, "text/html").body.firstElementChild;

  const put = (parts) => {
    const held = document.activeElement;
    const focus = held && held.closest("[id]") ? held.closest("[id]").id : "";
    const index = held && focus ? [...document.getElementById(focus).querySelectorAll("a")].indexOf(held) : -1;
    for (const [id, markup] of Object.entries(parts)) {
      const old = document.getElementById(id);
      const fresh = parsed(markup);
      if (old && fresh && old.outerHTML !== fresh.outerHTML) old.replaceWith(fresh);
    }
    if (index >= 0 && !document.contains(held)) {
      const where = document.getElementById(focus);
      const links = where ? where.querySelectorAll("a") : [];
      if (links[index]) links[index].focus({ preventScroll: true });
    }
  };

  const say = (live) => {
    if (!link) return;
    link.dataset.live = live ? "yes" : "no";
    link.textContent = live ? "● live" : "○ no answer";
  };

  const follow = () => {
    const events = new URL(main.dataset.events, location.href);
    events.searchParams.set("since", version);
    source = new EventSource(events);
    source.addEventListener("open", () => { wait = 1000; say(true); });
    source.addEventListener("parts", (event) => {
      version = event.lastEventId;
      put(JSON.parse(event.data));
    });
    source.addEventListener("stale", () => { source.close(); location.reload(); });
    source.addEventListener("error", () => {
      say(false);
      source.close();
      setTimeout(follow, wait);
      wait = Math.min(2 * wait, 15000);
    });
  };

  window.addEventListener("pagehide", () => source && source.close());
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  follow();
})();
