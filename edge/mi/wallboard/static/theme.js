// Dark or light: as the system has it until somebody presses the button; then as they chose, on this screen.
"use strict";

(() => {
  const root = document.documentElement;
  let chosen = null;
  try { chosen = localStorage.getItem("edge101-theme"); } catch { /* a browser that keeps nothing */ }
  if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;

  const isDark = () => root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;

  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    if (!button) return;
    const name = () => { button.textContent = isDark() ? "Light" : "Dark"; };
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try { localStorage.setItem("edge101-theme", root.dataset.theme); } catch { /* as above */ }
      name();
    });
    name();
  });
})();
