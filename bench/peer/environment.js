// What the environment says, read once at the start. A wrong value ends the process with one line that names it.

/** The value of a variable that must be set. Ends the process with exit code 2 where it is missing. */
export function required(name) {
  const value = process.env[name];
  if (!value) refuse(`${name} is not set; see bench/peer/README.md for the variables of the peer.`);
  return value;
}

/** A TCP port, 1 to 65535. */
export function port(name) {
  const value = Number(required(name));
  if (!Number.isInteger(value) || value < 1 || value > 65535) refuse(`${name} must be a port number from 1 to 65535.`);
  return value;
}

/** Ends the process: exit code 2 is "wrong usage". */
export function refuse(message) {
  process.stderr.write(`peer: ${message}\n`);
  process.exit(2);
}
