"use strict";
const box = document.getElementById("find"), found = document.getElementById("found");
const rows = [...document.querySelectorAll("tr.row")];
const entries = rows.map(row => document.getElementById(row.querySelector("a").hash.slice(1)));
document.querySelector(".find").hidden = false;
box.addEventListener("input", () => {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  let n = 0;
  rows.forEach((row, i) => {
    const text = (row.textContent + " " + entries[i].textContent).toLowerCase();
    const hit = words.every(word => text.includes(word));
    row.hidden = entries[i].hidden = !hit;
    n += hit;
  });
  found.textContent = words.length ? `${n} of ${rows.length}` : "";
});
const svg = document.querySelector("svg"), nodes = [...svg.querySelectorAll("a[data-node]")];
const below = node => node.dataset.below.split(" ").filter(Boolean);
const point = node => {
  const up = nodes.filter(other => below(other).includes(node.dataset.node));
  const on = new Set([node.dataset.node, ...below(node), ...up.map(other => other.dataset.node)]);
  nodes.forEach(other => other.classList.toggle("on", on.has(other.dataset.node)));
  svg.querySelectorAll("path").forEach(path =>
    path.classList.toggle("on", on.has(path.dataset.from) && on.has(path.dataset.to)));
  svg.classList.add("pointed");
};
nodes.forEach(node => {
  for (const event of ["mouseenter", "focus"]) node.addEventListener(event, () => point(node));
  for (const event of ["mouseleave", "blur"])
    node.addEventListener(event, () => svg.classList.remove("pointed"));
});
