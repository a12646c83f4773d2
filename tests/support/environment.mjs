// What `cargo xtask` tells the tests.

/** Returns a variable of the environment. */
export function setting(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: start this with cargo xtask`);
  return value;
}
