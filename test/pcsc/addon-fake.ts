import { EventEmitter } from "node:events";

type Done<T> = (error: unknown, value?: T) => void;

export interface FakeCard {
  readonly atr: Uint8Array;
  answer: (command: Uint8Array) => Uint8Array | Promise<Uint8Array>;
}

const UNKNOWN_READER_STATE = 0x0c;
const PRESENT = 0x20;
const EMPTY = 0x10;

function failure(what: string, code: number): Error {
  return new Error(`${what} error: Something.(0x${code.toString(16)})`);
}

/** What stands behind the addon: a service, its readers, and what other programs do with them. */
export class FakeService {
  running = true;
  /** The service does not let this user in. */
  forbidden = false;
  readonly readers = new Map<string, { card: FakeCard | undefined; events: number }>();
  /** Code that the next calls of this kind end with, until it is taken away. */
  readonly refusals = new Map<"connect" | "transmit" | "probe" | "disconnect", number>();
  /** Calls of this kind that have not been answered are answered when this resolves. */
  held: Promise<unknown> | undefined;
  readonly calls: string[] = [];
  /** Threads of the addon that still run: while there is one the process does not exit. */
  threads = 0;
  /** Reader objects that were made. */
  made = 0;
  /** Whether an event is being told: closing a reader meanwhile locks up the real addon. */
  telling = false;
  /** How often it was stopped: contexts of earlier lives are worth nothing. */
  life = 0;
  blocking: (string | undefined)[] = [];
  readonly #contexts = new Set<{ changed(): void; stopped(): void }>();

  plug(name: string): void {
    this.readers.set(name, { card: undefined, events: 0 });
    this.#changed();
  }

  unplug(name: string): void {
    this.readers.delete(name);
    this.#changed();
  }

  insert(name: string, card: FakeCard | undefined): void {
    const reader = this.readers.get(name);
    if (!reader) return;
    reader.card = card;
    reader.events++;
    this.#changed();
  }

  stop(): void {
    this.running = false;
    this.life++;
    for (const context of [...this.#contexts]) context.stopped();
  }

  #changed(): void {
    for (const context of [...this.#contexts]) context.changed();
  }

  /** What `require("pcsclite")` gives. */
  readonly module = (): EventEmitter => {
    this.blocking.push(process.env["PCSCLITE_NO_BLOCKING"]);
    if (this.forbidden) throw failure("SCardEstablishContext", 0x8010006a);
    if (!this.running) throw failure("SCardEstablishContext", 0x8010001d);
    return new FakeContext(this, this.#contexts);
  };

  readonly Reader = ((service: FakeService) =>
    class extends FakeReader {
      constructor(name: string) {
        super(service, name);
      }
    })(this);
}

class FakeContext extends EventEmitter {
  readonly #service: FakeService;
  readonly #watched = new Map<string, FakeReader>();
  readonly #contexts: Set<{ changed(): void; stopped(): void }>;
  #names = "";
  #listed: Done<Uint8Array> | undefined;

  constructor(service: FakeService, contexts: Set<{ changed(): void; stopped(): void }>) {
    super();
    this.#service = service;
    this.#contexts = contexts;
    contexts.add(this);
    process.nextTick(() => {
      this.start((error, names = new Uint8Array()) => {
        if (error !== undefined) {
          this.emit("error", error);
          return;
        }
        const listed = Buffer.from(names).toString().split("\0").filter(Boolean);
        for (const name of listed.filter((each) => !this.#watched.has(each))) {
          const reader = new service.Reader(name);
          this.#watched.set(name, reader);
          reader.on("end", () => this.#watched.delete(name));
          reader.watch();
          this.emit("reader", reader);
        }
        for (const [name, reader] of this.#watched) if (!listed.includes(name)) reader.close();
      });
    });
  }

  start(listed: Done<Uint8Array>): void {
    this.#listed = listed;
    this.#service.threads++;
    setImmediate(() => {
      this.changed();
    });
  }

  changed(): void {
    const names = [...this.#service.readers.keys(), ""].join("\0");
    if (names !== this.#names || names === "") this.#listed?.(undefined, Buffer.from(`${names}\0`));
    this.#names = names;
    for (const reader of this.#watched.values()) reader.look();
  }

  stopped(): void {
    for (const reader of this.#watched.values()) reader.end(failure("SCardGetStatusChange", 0x8010001e));
    this.#listed?.(failure("SCardGetStatusChange", 0x8010001e));
    this.#end();
  }

  close(): void {
    if (this.#service.telling) throw new Error("closed in the midst of an event");
    this.#listed?.(failure("SCardGetStatusChange", 0x80100002));
    this.#end();
  }

  #end(): void {
    if (this.#contexts.delete(this)) this.#service.threads--;
    this.#listed = undefined;
  }
}

class FakeReader extends EventEmitter {
  readonly name: string;
  connected = false;
  readonly #service: FakeService;
  #watching = false;
  #told = -1;
  #life: number | undefined;

  constructor(service: FakeService, name: string) {
    super();
    this.name = name;
    this.#service = service;
    service.made++;
  }

  watch(): void {
    this.#watching = true;
    this.#service.threads++;
    setImmediate(() => {
      this.look();
    });
  }

  look(): void {
    if (!this.#watching) return;
    const reader = this.#service.readers.get(this.name);
    if (!reader) {
      this.#tell("status", { state: UNKNOWN_READER_STATE });
      this.end();
      return;
    }
    const state = (reader.events << 16) | (reader.card ? PRESENT : EMPTY);
    if (state === this.#told) return;
    this.#told = state;
    this.#tell("status", { state, atr: Buffer.from(reader.card?.atr ?? []) });
  }

  end(error?: Error): void {
    if (!this.#watching) return;
    this.#watching = false;
    this.#service.threads--;
    if (error) this.#tell("error", error);
    this.#tell("end");
  }

  #tell(event: string, ...args: unknown[]): void {
    this.#service.telling = true;
    this.emit(event, ...args);
    this.#service.telling = false;
  }

  close(): void {
    if (this.#service.telling) throw new Error("closed in the midst of an event");
    this.end();
  }

  SCARD_CTL_CODE(code: number): number {
    return 0x42000000 + code;
  }

  connect(options: { share_mode: number; protocol: number }, done: Done<number>): void {
    this.#answer("connect", `connect ${options.share_mode}`, done, () => {
      this.#life ??= this.#service.life;
      if (this.#life !== this.#service.life) throw failure("SCardConnect", 0x80100003);
      const reader = this.#service.readers.get(this.name);
      if (!reader) throw failure("SCardConnect", 0x80100009);
      if (!reader.card && options.share_mode !== 3) throw failure("SCardConnect", 0x8010000c);
      this.connected = true;
      return 2;
    });
  }

  disconnect(disposition: number, done: Done<undefined>): void {
    if (!this.connected) {
      done(undefined);
      return;
    }
    this.#answer("disconnect", `disconnect ${disposition}`, done, () => {
      this.connected = false;
      return undefined;
    });
  }

  transmit(data: Uint8Array, _length: number, protocol: number, done: Done<Uint8Array>): void {
    if (!this.connected) {
      done(new Error("Card Reader not connected"));
      return;
    }
    if (protocol !== 2) {
      this.#answer("probe", "probe", done, () => {
        throw failure("SCardTransmit", 0x8010000f);
      });
      return;
    }
    const command = data.slice();
    this.#answer("transmit", `transmit ${Buffer.from(command).toString("hex")}`, done, async () => {
      const card = this.#service.readers.get(this.name)?.card;
      if (!card) throw failure("SCardTransmit", 0x80100069);
      return Buffer.from(await card.answer(command));
    });
  }

  control(_data: Uint8Array, _code: number, _length: number, done: Done<Uint8Array>): void {
    this.#answer("probe", "control", done, () => {
      throw failure("SCardControl", 0x8010001f);
    });
  }

  #answer<T>(
    kind: "connect" | "transmit" | "probe" | "disconnect",
    what: string,
    done: Done<T>,
    work: () => T | Promise<T>,
  ): void {
    this.#service.calls.push(what);
    const refusal = this.#service.refusals.get(kind);
    void (async () => {
      await this.#service.held;
      if (refusal !== undefined) throw failure(kind, refusal);
      return work();
    })().then(
      (value) => {
        setImmediate(done, undefined, value);
      },
      (error: unknown) => {
        setImmediate(done, error);
      },
    );
  }
}
