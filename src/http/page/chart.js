// Charts as SVG. The numbers of each are in a table beside it, so a chart itself is a picture with a name.

import { h, svg } from "./dom.js";

const [WIDTH, HEIGHT, LEFT, LINE, TOP] = [640, 180, 62, 16, 8];

/**
 * Bars, one group for each of `rows`: `{ label, values, tick, part }`, where `series` names and classes the values. Values
 * may be negative. `format` makes the numbers at the axis. Below it stand labels, as many as there is room for; or, where
 * rows have ticks, all of these, and below them the names of parts, of which each begins at the row that has its name.
 */
export function bars(name, series, rows, format) {
    const values = rows.flatMap((row) => row.values);
    const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
    const span = high - low || 1;
    const bottom = 6 + LINE * (rows.some((row) => row.part) ? 2 : 1);
    const y = (value) => TOP + (HEIGHT - TOP - bottom) * (high - value) / span;
    const step = (WIDTH - LEFT) / Math.max(1, rows.length);
    const wide = Math.min(40, Math.max(1, step * 0.8)) / series.length;
    const left = (number) => LEFT + step * number + (step - wide * series.length) / 2;
    const ticks = [...new Set([low, 0, high])];
    const axis = ticks.map((tick) => [
        svg("line", { class: "axis", x1: LEFT, x2: WIDTH, y1: y(tick), y2: y(tick) }),
        svg("text", { x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, format(tick)),
    ]);
    const drawn = rows.flatMap((row, number) => row.values.map((value, index) => svg("rect", {
        class: value < 0 ? "loss" : series[index][1],
        x: left(number) + wide * index,
        y: Math.min(y(value), y(0)), width: Math.max(0.5, wide - 1), height: Math.abs(y(value) - y(0)),
    }, svg("title", {}, `${row.label}: ${series[index][0]} ${format(value)}`))));
    const every = Math.ceil(rows.length / 8);
    const below = (row, number) => row.tick ?? (number % every === 0 ? row.label : "");
    const labels = rows.flatMap((row, number) => [
        svg("text", { x: LEFT + step * (number + 0.5), y: HEIGHT - bottom + LINE, "text-anchor": "middle" }, below(row, number)),
        row.part ? svg("text", { x: left(number), y: HEIGHT - bottom + 2 * LINE }, row.part) : null,
    ]);
    return h("figure", { class: "figure" },
        svg("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${name}. The table below has the numbers.` }, axis.flat(), drawn, labels),
        h("p", { class: "legend", "aria-hidden": "true" }, series.map(([title, style]) => h("span", { class: style }, title)),
            values.some((value) => value < 0) && h("span", { class: "loss" }, "below zero")));
}
