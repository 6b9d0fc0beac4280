import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { Duplex } from "node:stream";
import { Deadline, untilAborted } from "../../async/index.ts";
import type { ServerAddress } from "../address.ts";
import { messageOf, P11KitError } from "../error.ts";

/** Milliseconds for a command to end by itself when its input has ended; the same again after SIGTERM. */
const FINALIZE_GRACE = 2000;

/** The way to a server. */
export interface Transport {
  readonly stream: Duplex;
  /** Resolves when nothing of it is left. An abort ends the wait for a command that takes its time, and the command. */
  close(signal?: AbortSignal): Promise<void>;
}

/** @throws {P11KitError} if there is no server; the signal's reason. */
export function openTransport(address: ServerAddress, signal: AbortSignal): Promise<Transport> {
  return address.kind === "unix" ? openSocket(address.path, signal) : openCommand(address.command);
}

async function openSocket(path: string, signal: AbortSignal): Promise<Transport> {
  const stream = connect(path);
  try {
    await once(stream, "connect", { signal });
  } catch (cause) {
    stream.destroy();
    signal.throwIfAborted();
    throw new P11KitError(`no server at ${path} (cryptoki serve starts one): ${messageOf(cause)}`, { cause });
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
  const ended = once(child, "exit");
  const kill = (): void => void child.kill();
  // A process that ends in a hurry must not leave the command behind.
  process.once("exit", kill);
  void ended.then(() => process.off("exit", kill));
  const stream = Duplex.from({ readable: child.stdout, writable: child.stdin });
  const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null;
  /** Waits a while for the end. */
  const over = async (signal?: AbortSignal): Promise<void> => {
    await new Deadline(FINALIZE_GRACE).race(untilAborted(ended, signal), () => undefined).catch(() => undefined);
  };
  return {
    stream,
    close: async (signal) => {
      child.stdin.end();
      if (!isOver()) await over(signal);
      if (!isOver()) child.kill();
      if (!isOver()) await over();
      if (!isOver()) child.kill("SIGKILL");
      stream.destroy();
    },
  };
}
