import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import path from "node:path";
import { Cryptoki } from "../../src/cryptoki/index.ts";
import { P11KitModule, type P11KitOptions, P11KitServer, type ListenerOptions } from "../../src/p11kit/index.ts";
import type { Dialect } from "../../src/p11kit/wire/values.ts";
import { CALLS } from "../../src/p11kit/wire/calls.ts";
import { decodeReply, encodeRequest, type Reply, type Request } from "../../src/p11kit/wire/message.ts";
import { type Rig, rig } from "../cryptoki/rig.ts";
import type { InProcessCard } from "../../src/pcsc/index.ts";
import { until } from "../until.ts";
import { FrameQueue } from "./frames.ts";

/** A server over readers of this process. */
export class ServerRig implements AsyncDisposable {
  readonly local: Rig;
  readonly server: P11KitServer;
  readonly socket: string;
  readonly errors: readonly unknown[];
  readonly #folder: string;

  private constructor(local: Rig, server: P11KitServer, socket: string, folder: string, errors: readonly unknown[]) {
    this.local = local;
    this.server = server;
    this.socket = socket;
    this.#folder = folder;
    this.errors = errors;
  }

  static async start(card?: InProcessCard, options: Partial<ListenerOptions> = {}): Promise<ServerRig> {
    const local = await rig(card);
    const folder = await mkdtemp(path.join(tmpdir(), "p11kit-"));
    const socket = path.join(folder, "private", "socket");
    const errors: unknown[] = [];
    const server = await P11KitServer.listen(socket, {
      application: () => new Cryptoki({ slots: local.cryptoki.slots }),
      onError: (error) => errors.push(error),
      ...options,
    });
    return new ServerRig(local, server, socket, folder, errors);
  }

  get address(): string {
    return this.server.address ?? "";
  }

  /** A module that reaches this server, initialised. */
  async module(options: Partial<P11KitOptions> = {}): Promise<P11KitModule> {
    const module = new P11KitModule({ address: this.address, ...options });
    await module.C_Initialize();
    return module;
  }

  /** Until the server has noticed that clients have gone. */
  untilClients(count: number): Promise<void> {
    return until(() => this.server.clients === count);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    await this.local[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** A peer that says what it likes, frame by frame. */
export class Peer implements Disposable {
  readonly stream: Socket;
  readonly #frames: FrameQueue;
  readonly #dialect: Dialect;
  #code = 0x10;

  private constructor(stream: Socket, frames: FrameQueue, dialect: Dialect) {
    this.stream = stream;
    this.#frames = frames;
    this.#dialect = dialect;
  }

  static async open(socket: string, offered = 0): Promise<Peer> {
    const stream = connect(socket);
    stream.on("error", () => undefined);
    await once(stream, "connect");
    const frames = new FrameQueue(stream, 2 ** 30);
    stream.write(Uint8Array.of(offered));
    await frames.opening();
    return new Peer(stream, frames, { offered });
  }

  /** The opening, C_Initialize and a session with the only token. */
  static async withSession(socket: string, offered = 0): Promise<readonly [Peer, number]> {
    const peer = await Peer.open(socket, offered);
    await peer.ask("C_Initialize", []);
    const slots = await peer.ask("C_GetSlotList", [true], 10);
    const [slot] = slots.kind === "list" && "list" in slots.value ? slots.value.list : [];
    const opened = await peer.ask("C_OpenSession", [slot, 4]);
    return [peer, opened.kind === "number" ? opened.value : 0];
  }

  send(name: string, args: readonly unknown[], room = 0, wanted: Request["wanted"] = []): Request & { code: number } {
    const call = CALLS.find((one) => one.name === name);
    if (!call) throw new Error(`no call ${name}`);
    const request = { call, args, room, wanted };
    const code = this.#code++;
    this.stream.write(encodeRequest(code, request, this.#dialect));
    return { ...request, code };
  }

  /** The next answer, and its code; undefined when the server has hung up. */
  async receive(): Promise<{ readonly code: number; readonly body: Uint8Array } | undefined> {
    return this.#frames.next();
  }

  /** Asks, and waits for the answer. */
  async ask(name: string, args: readonly unknown[], room = 0, wanted: Request["wanted"] = []): Promise<Reply> {
    const request = this.send(name, args, room, wanted);
    const frame = await this.receive();
    if (frame?.code !== request.code) throw new Error(`no answer to ${name}`);
    return decodeReply(frame.body, request, this.#dialect);
  }

  [Symbol.dispose](): void {
    this.stream.destroy();
  }
}
