import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { Duplex } from "node:stream";
import type { ServerAddress } from "../address.ts";
import { messageOf, P11KitError } from "../error.ts";

/** Milliseconds for a command to end by itself when nobody speaks to it any more. */
const PATIENCE = 2000;

/** The way to a server. */
export interface Transport {
  readonly stream: Duplex;
  /** Resolves when nothing of it is left. */
  close(): Promise<void>;
}

/** @throws {P11KitError} if there is no server. */
export function openTransport(address: ServerAddress): Promise<Transport> {
  return address.kind === "unix" ? openSocket(address.path) : openCommand(address.command);
}

async function openSocket(path: string): Promise<Transport> {
  const stream = connect(path);
  try {
    await once(stream, "connect");
  } catch (cause) {
    throw new P11KitError(`no server at ${path}: ${messageOf(cause)}`, { cause });
  }
  return {
    stream,
    close: async () => {
      stream.destroy();
      if (!stream.closed) await once(stream, "close");
    },
  };
}

/** What the command writes to its standard error goes where ours goes: ssh asks for passwords there. */
async function openCommand([program = "", ...args]: readonly string[]): Promise<Transport> {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
  try {
    await once(child, "spawn");
  } catch (cause) {
    throw new P11KitError(`${program} does not start: ${messageOf(cause)}`, { cause });
  }
  // A command that ends without reading on is told by the end of its output.
  child.stdin.on("error", () => undefined);
  const stream = Duplex.from({ readable: child.stdout, writable: child.stdin });
  return {
    stream,
    close: async () => {
      child.stdin.end();
      if (child.exitCode === null && child.signalCode === null) {
        const impatience = setTimeout(() => child.kill(), PATIENCE);
        await once(child, "exit");
        clearTimeout(impatience);
      }
      stream.destroy();
    },
  };
}
