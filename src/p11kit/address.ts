import path from "node:path";
import { DataError } from "../bytes/index.ts";
import { MAX_SOCKET_PATH } from "../sockets/index.ts";

/** The address of a server of p11-kit's protocol: a socket, or a program with standard streams. */
export type ServerAddress =
  | { readonly kind: "unix"; readonly path: string }
  /** The program and its arguments. */
  | { readonly kind: "command"; readonly command: readonly string[] };

/**
 * Parses an address as in P11_KIT_SERVER_ADDRESS: `unix:path=/run/user/1000/p11-kit/pkcs11`, `|ssh host p11-kit remote
 * ...`. Without either prefix it is a command too. In a command, quotes keep words together, and a backslash escapes
 * the next character.
 * @throws {DataError} if it is malformed.
 */
export function parseServerAddress(address: string): ServerAddress {
  if (address.startsWith("vsock:"))
    throw new DataError("this client cannot connect to sockets of virtual machines (vsock:)");
  requireNoNetwork(address);
  if (!address.startsWith("unix:")) {
    const command = splitCommand(address.replace(/^\|/u, ""));
    if (command.length === 0) throw new DataError('a server is "unix:path=/..." or a command that speaks the protocol');
    return { kind: "command", command };
  }
  const fields = address.slice("unix:".length).split(";");
  const encoded = fields.find((field) => field.startsWith("path="))?.slice("path=".length);
  if (encoded === undefined) throw new DataError("the address of a socket is unix:path=/...");
  return { kind: "unix", path: requireSocketPath(decodePath(encoded)) };
}

/** "tcp:...", a URL, or a host and a port: "127.0.0.1:9999", "[::1]:9999". */
const NETWORK = /^(?:(?:tcp|inet6?):.*|[a-z][\w+.-]*:\/\/.*|(?:\[[\da-f:.%]*\]|[\w.-]*):\d{1,5})$/iu;

/**
 * PINs never cross a network unencrypted.
 * @throws {DataError} if `address` is a network address, not a path.
 */
export function requireNoNetwork(address: string): void {
  if (!NETWORK.test(address)) return;
  throw new DataError(
    `${address} is a network address, where PINs would be sent unencrypted; reach another machine with ssh ` +
      '("ssh host cryptoki serve --stdio"); serve --http, with TLS, does not exist yet',
  );
}

/** The address of a socket in the form of P11_KIT_SERVER_ADDRESS. */
export const formatSocketAddress = (socket: string): string =>
  `unix:path=${socket.replace(/[^\w./-]/gu, encodeURIComponent)}`;

/** @throws {DataError} if the path is not valid for a socket: p11-kit truncates one that is too long, and connects elsewhere. */
export function requireSocketPath(socket: string): string {
  if (!path.isAbsolute(socket)) throw new DataError(`the path of a socket begins with "/": ${socket}`);
  if (Buffer.byteLength(socket) > MAX_SOCKET_PATH) {
    throw new DataError(`the path of a socket has at most ${MAX_SOCKET_PATH} bytes: ${socket}`);
  }
  return socket;
}

function decodePath(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch (cause) {
    throw new DataError("the path has a % without two hexadecimal digits", { cause });
  }
}

/** @throws {DataError} for a quote without its end. */
function splitCommand(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote: string | undefined;
  let escaped = false;
  for (const character of text) {
    if (escaped) {
      word = (word ?? "") + character;
      escaped = false;
    } else if (character === "\\" && quote !== "'") escaped = true;
    else if (quote !== undefined) {
      if (character === quote) quote = undefined;
      else word = (word ?? "") + character;
    } else if (character === '"' || character === "'") {
      quote = character;
      word ??= "";
    } else if (/\s/u.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? "") + character;
  }
  if (quote !== undefined || escaped) throw new DataError("the command has a quote without its end");
  if (word !== undefined) words.push(word);
  return words;
}

/** A server cannot be set up, or cannot be reached. A failed call has the error of the call. */
export class P11KitError extends Error {
  override readonly name = "P11KitError";
}

/** The message of a system error. */
export const messageOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "message" in error ? String(error.message) : String(error);
