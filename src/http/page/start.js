// What is in the file is painted before any other script is read.

requestAnimationFrame(() => setTimeout(() => import("./app.js")));
