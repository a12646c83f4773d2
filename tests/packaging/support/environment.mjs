// What the tests are told from outside, by cargo xtask test.
function setting(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run these tests with cargo xtask test`);
  return value;
}

/** Origin of a running server. */
export const SERVER = new URL(setting("BLINDSCORE_URL")).origin;
/** The packed npm package. */
export const TARBALL = setting("BLINDSCORE_TARBALL");
/** Path of the browser. */
export const CHROMIUM = setting("CHROMIUM");
/** Folder with MNIST's test set. */
export const MNIST_DIR = setting("MNIST_DIR");
