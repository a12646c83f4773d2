// What the tests are told from outside.
function setting(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

/** Origin of a running server that serves the page. */
export const ORIGIN = new URL(setting("BLINDSCORE_URL")).origin;
/** Path of the server's program. */
export const SERVER = setting("BLINDSCORE_SERVER");
/** Path of the browser. */
export const CHROMIUM = setting("CHROMIUM");
/** Path of Firefox. */
export const FIREFOX = setting("FIREFOX");
/** Folder with MNIST's test set. */
export const MNIST_DIR = setting("MNIST_DIR");
/** Folder for screenshots. */
export const SCREENSHOTS = setting("SCREENSHOTS");
