// MNIST's test digits as strokes of a pen.
import { testSet } from "../../support/digits.mjs";

const SIDE = 28;
const INK = 96;
const NEAR = [
  [0, -1],
  [1, 0],
  [0, 1],
  [-1, 0],
];
// Clockwise from the top.
const AROUND = [
  [0, -1],
  [1, -1],
  [1, 0],
  [1, 1],
  [0, 1],
  [-1, 1],
  [-1, 0],
  [-1, -1],
];

/**
 * Returns the first test digits as `{ label, strokes }`. Strokes are lists of `[x, y]`, as
 * fractions of the sheet.
 */
export function testDigits(count) {
  const first = testSet().slice(0, count);
  return first.map(({ label, pixels }) => ({ label, strokes: strokes(pixels) }));
}

/**
 * Returns the middle line of the ink, and strokes that fill broad ink, which a pen of about two
 * pixels would leave open.
 */
function strokes(image) {
  const ink = Uint8Array.from(image, (value) => (value > INK ? 1 : 0));
  const core = ink.map((value, i) => value && NEAR.every(([dx, dy]) => at(ink, (i % SIDE) + dx, Math.floor(i / SIDE) + dy)));
  return [...trace(thin(ink)), ...runs(core)];
}

/** Returns a stroke for each horizontal run of set pixels. */
function runs(grid) {
  const found = [];
  for (let y = 0; y < SIDE; y += 1) {
    for (let x = 0; x < SIDE; x += 1) {
      const start = x;
      while (at(grid, x, y)) x += 1;
      if (x > start) found.push([start, x - 1].map((end) => fractions(y * SIDE + end)));
    }
  }
  return found;
}

function fractions(i) {
  return [((i % SIDE) + 0.5) / SIDE, (Math.floor(i / SIDE) + 0.5) / SIDE];
}

function at(grid, x, y) {
  return x >= 0 && x < SIDE && y >= 0 && y < SIDE && grid[y * SIDE + x] ? 1 : 0;
}

/** Returns the middle line of the ink, by Zhang and Suen's thinning. */
function thin(ink) {
  const grid = Uint8Array.from(ink);
  let changed = true;
  while (changed) {
    changed = false;
    for (const pass of [0, 1]) {
      const gone = [];
      for (let y = 0; y < SIDE; y += 1) {
        for (let x = 0; x < SIDE; x += 1) {
          if (!grid[y * SIDE + x]) continue;
          const p = AROUND.map(([dx, dy]) => at(grid, x + dx, y + dy));
          const neighbours = p.reduce((a, b) => a + b);
          const edges = p.filter((value, i) => !value && p[(i + 1) % 8]).length;
          const [up, , right, , down, , left] = p;
          const removable = pass === 0 ? !(up && right && down) && !(right && down && left) : !(up && right && left) && !(up && down && left);
          if (neighbours >= 2 && neighbours <= 6 && edges === 1 && removable) gone.push(y * SIDE + x);
        }
      }
      for (const i of gone) grid[i] = 0;
      changed ||= gone.length > 0;
    }
  }
  return grid;
}

/** Returns strokes along the line; the pen is lifted only at its ends. */
function trace(grid) {
  const left = new Set([...grid.keys()].filter((i) => grid[i]));
  const neighbours = (i, among) =>
    AROUND.map(([dx, dy]) => [(i % SIDE) + dx, Math.floor(i / SIDE) + dy])
      .filter(([x, y]) => at(grid, x, y) && among(y * SIDE + x))
      .sort(([ax, ay], [bx, by]) => distance(i, ax, ay) - distance(i, bx, by))
      .map(([x, y]) => y * SIDE + x);
  const ends = [...left].filter((i) => neighbours(i, () => true).length === 1);
  const strokes = [];
  while (left.size > 0) {
    let i = ends.find((end) => left.has(end)) ?? left.values().next().value;
    const path = neighbours(i, (j) => !left.has(j)).slice(0, 1);
    for (; i !== undefined; [i] = neighbours(i, (j) => left.has(j))) {
      left.delete(i);
      path.push(i);
    }
    const last = path.at(-1);
    path.push(...neighbours(last, (j) => j !== path.at(-2)).slice(0, 1));
    strokes.push(path.map(fractions));
  }
  return strokes;
}

function distance(i, x, y) {
  return Math.abs((i % SIDE) - x) + Math.abs(Math.floor(i / SIDE) - y);
}
