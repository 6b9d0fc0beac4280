import { DataError, utf8, wipe } from "../../bytes/index.ts";
import { CKR, CryptokiError } from "../../cryptoki/index.ts";
import type { ServerAddress } from "../address.ts";
import { P11KitError } from "../error.ts";
import type { Dialect } from "../wire/field.ts";
import { encodeFrame, FrameReader } from "../wire/frame.ts";
import { decodeReply, encodeRequest, type Reply, type Request } from "../wire/message.ts";
import { openTransport, type Transport } from "./transport.ts";

/** p11-kit's module names itself so. */
const OPTIONS = utf8("client");
/** p11-kit begins to count there. */
const FIRST_CODE = 0x10;
const LAST_CODE = 0xffffffff;

export interface LinkOptions {
  readonly address: ServerAddress;
  /** The version of the protocol to offer. */
  readonly version: number;
  /** Bytes that an answer may have. */
  readonly messageLimit: number;
  /** Milliseconds that a socket may take for its first byte. */
  readonly patience: number;
}

/** A connection to a server: any number of calls at a time, whose answers come in any order. */
export class Link {
  readonly #transport: Transport;
  readonly #frames: FrameReader;
  readonly #waiting = new Map<
    number,
    { readonly resolve: (body: Uint8Array) => void; readonly reject: (error: unknown) => void }
  >();
  readonly #reading: Promise<void>;
  #code = FIRST_CODE;
  #broken: CryptokiError | undefined;
  /** What is spoken: the version that both know. */
  readonly dialect: Dialect;

  private constructor(transport: Transport, frames: FrameReader, dialect: Dialect) {
    this.#transport = transport;
    this.#frames = frames;
    this.dialect = dialect;
    this.#reading = this.#read();
  }

  /** @throws {P11KitError} if there is no server that speaks the protocol. */
  static async open(options: LinkOptions): Promise<Link> {
    const link = await Link.#negotiate(options, options.version);
    // A server of old takes only the byte that it knows (p11-kit up to 0.23), and hangs up.
    const second = link ?? (options.version > 0 ? await Link.#negotiate(options, 0) : undefined);
    if (!second) throw new P11KitError("the server hung up before it said a word");
    return second;
  }

  /** undefined if the server hangs up. */
  static async #negotiate(options: LinkOptions, offered: number): Promise<Link | undefined> {
    const transport = await openTransport(options.address);
    const { stream } = transport;
    // What breaks is told by the end of what comes in.
    stream.on("error", () => undefined);
    const impatience =
      options.address.kind === "unix" ? setTimeout(() => stream.destroy(), options.patience) : undefined;
    try {
      stream.write(Uint8Array.of(offered));
      const frames = new FrameReader(arrivals(stream), options.messageLimit);
      const agreed = await frames.opening();
      // p11-kit encodes as it was built to, and before 0.25.6 no server answers 2: what it answers tells its encoding.
      if (agreed !== undefined) return new Link(transport, frames, { offered: Math.min(agreed, offered) });
    } finally {
      clearTimeout(impatience);
    }
    await transport.close();
    return undefined;
  }

  /**
   * Makes a call.
   * @throws {CryptokiError} what the call is answered with; CKR_DEVICE_ERROR if the connection is broken;
   *   CKR_FUNCTION_CANCELED when `signal` aborts: the server goes on, and nobody waits.
   */
  async call(request: Request, signal?: AbortSignal): Promise<Reply> {
    const body = this.#encode(request);
    if (this.#broken) throw this.#broken;
    if (signal?.aborted) throw new CryptokiError(CKR.FUNCTION_CANCELED, undefined, { cause: signal.reason });
    const code = this.#nextCode();
    let cancel: (() => void) | undefined;
    const answer = new Promise<Uint8Array>((resolve, reject) => {
      this.#waiting.set(code, { resolve, reject });
      cancel = (): void => {
        reject(new CryptokiError(CKR.FUNCTION_CANCELED, undefined, { cause: signal?.reason }));
      };
      signal?.addEventListener("abort", cancel, { once: true });
    });
    const frame = encodeFrame(code, body, OPTIONS);
    wipe(body);
    this.#transport.stream.write(frame, () => {
      wipe(frame);
    });
    try {
      return this.#decode(await answer, request);
    } finally {
      if (cancel) signal?.removeEventListener("abort", cancel);
    }
  }

  #encode(request: Request): Uint8Array {
    try {
      return encodeRequest(request, this.dialect);
    } catch (cause) {
      if (cause instanceof CryptokiError) throw cause;
      // Callers in JavaScript have no types.
      throw new CryptokiError(CKR.ARGUMENTS_BAD, undefined, { cause });
    }
  }

  #decode(body: Uint8Array, request: Request): Reply {
    try {
      return decodeReply(body, request, this.dialect);
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      throw this.#break(error);
    }
  }

  #nextCode(): number {
    while (this.#waiting.has(this.#code)) this.#advance();
    const code = this.#code;
    this.#advance();
    return code;
  }

  #advance(): void {
    this.#code = this.#code >= LAST_CODE ? FIRST_CODE : this.#code + 1;
  }

  async #read(): Promise<void> {
    try {
      for (let frame = await this.#frames.next(); frame; frame = await this.#frames.next()) {
        const waiting = this.#waiting.get(frame.code);
        if (!waiting) throw new DataError("an answer that nobody asked for");
        this.#waiting.delete(frame.code);
        waiting.resolve(frame.body);
      }
      this.#break(new P11KitError("the server hung up"));
    } catch (error) {
      this.#break(error);
    }
  }

  /** Nothing goes over this connection any more: all calls are answered with this. */
  #break(cause: unknown): CryptokiError {
    const reason = cause instanceof Error ? cause.message : "";
    this.#broken ??= new CryptokiError(CKR.DEVICE_ERROR, `the connection to the server is broken: ${reason}`, {
      cause,
    });
    for (const { reject } of this.#waiting.values()) reject(this.#broken);
    this.#waiting.clear();
    this.#transport.stream.destroy();
    return this.#broken;
  }

  async close(): Promise<void> {
    await this.#transport.close();
    await this.#reading;
  }
}

/** Ends, and does not throw, when the stream breaks. */
async function* arrivals(stream: Transport["stream"]): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of stream) yield chunk as Uint8Array;
  } catch {
    // A broken connection is an end like another one.
  }
}
