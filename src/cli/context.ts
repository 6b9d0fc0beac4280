import type { Command } from "commander";
import { Concealer, traceText, traceTransmit, type TraceSink } from "../apdu/index.ts";
import type { CardOptions } from "../card/index.ts";
import { type CK_TRACE_CALLBACK, Cryptoki, type CryptokiFunctions } from "../cryptoki/index.ts";
import { profiles } from "../index.ts";
import { type Pcsc, record } from "../pcsc/index.ts";
import { openPcsc } from "./card-source.ts";
import type { Environment } from "./environment.ts";
import { InterruptedError, TimeoutError, UsageError } from "./failure.ts";
import type { GlobalOptions } from "./global-options.ts";
import { findingsTo } from "./findings.ts";
import { createRecording } from "./recording-file.ts";
import { openServer } from "./server.ts";
import { Printer } from "./output.ts";

/** What a command works with: options, output, and whatever must be closed at its end. */
export class CommandContext implements AsyncDisposable {
  readonly environment: Environment;
  readonly options: GlobalOptions;
  readonly print: Printer;
  /** Remarks beside the result, on standard error. */
  readonly remark: Printer;
  /** Aborts on an interruption, and when the time of --timeout has run out. */
  readonly signal: AbortSignal;
  readonly #name: string;
  readonly #timer: NodeJS.Timeout | undefined;
  #pcsc: Promise<Pcsc> | undefined;
  #cryptoki: Promise<CryptokiFunctions> | undefined;
  readonly #sinks: TraceSink[] = [];
  readonly #resources: AsyncDisposable[] = [];

  /** @param name The command's, without its arguments. */
  constructor(environment: Environment, options: GlobalOptions, name: string) {
    const timeout = new AbortController();
    this.#name = name;
    this.environment = environment;
    this.options = options;
    this.print = new Printer(environment.stdout, environment.env, options.json ?? false);
    this.remark = new Printer(environment.stderr, environment.env, false);
    this.signal = AbortSignal.any([environment.signal, timeout.signal]);
    if (options.trace) this.listen(traceTo(this.remark, options.json ?? false));
    const { timeout: seconds } = options;
    if (seconds !== undefined) {
      const error = new TimeoutError(`not done after ${seconds} s, the time that --timeout gave`);
      this.#timer = setTimeout(() => {
        timeout.abort(error);
      }, seconds * 1000);
    }
  }

  /** The card readers, opened once, closed with the command. */
  pcsc(): Promise<Pcsc> {
    this.#pcsc ??= this.#open();
    return this.#pcsc;
  }

  async #open(): Promise<Pcsc> {
    if (this.options.server !== undefined) throw new UsageError("--server reaches tokens, and no readers and cards");
    const { record: file } = this.options;
    const recording = file === undefined ? undefined : this.owns(await createRecording(file));
    const opened = await openPcsc(this.options, this.environment);
    const pcsc = recording ? record(opened, recording.sink, () => new Concealer(), this.#name) : opened;
    this.owns({ [Symbol.asyncDispose]: () => pcsc.close() });
    return pcsc;
  }

  /** PKCS #11 over those readers, or over what --server says, initialised once, finalised with the command. */
  cryptoki(): Promise<CryptokiFunctions> {
    this.#cryptoki ??= this.#initialise();
    return this.#cryptoki;
  }

  async #initialise(): Promise<CryptokiFunctions> {
    const { server } = this.options;
    const cryptoki = server === undefined ? await this.#overCards() : await openServer(server);
    await cryptoki.C_Initialize();
    this.owns({ [Symbol.asyncDispose]: () => cryptoki.C_Finalize() });
    return cryptoki;
  }

  async #overCards(): Promise<Cryptoki> {
    const pcsc = await this.pcsc();
    const { trace: traced, json } = this.options;
    const trace = traced ? { trace: callsTo(this.remark, json ?? false) } : {};
    return new Cryptoki({ pcsc, profiles, ...this.cardOptions, ...trace });
  }

  /** Tells `sink` of each exchange with a card from now on. */
  listen(sink: TraceSink): void {
    this.#sinks.push(sink);
  }

  /** What connections to cards are made with, so that every exchange is told to those who listen, and --trace tells what is wrong. */
  get cardOptions(): CardOptions {
    const sink: TraceSink = (event) => {
      for (const one of this.#sinks) one(event);
    };
    return {
      wrap: (transmit, reader) => traceTransmit(transmit, sink, reader),
      ...(this.options.trace && { findings: findingsTo(this.remark, this.options.json ?? false) }),
    };
  }

  /** Closes `resource` when the command ends, the last one first. */
  owns<Resource extends AsyncDisposable>(resource: Resource): Resource {
    this.#resources.unshift(resource);
    return resource;
  }

  /** The outcome of `work`, unless {@link signal} aborts first: then its reason is thrown, and `work` is left alone. */
  async untilAborted<T>(work: Promise<T>): Promise<T> {
    work.catch(() => undefined);
    const { signal } = this;
    if (signal.aborted) throw signal.reason;
    let stop: (() => void) | undefined;
    const aborted = new Promise<never>((_, reject) => {
      stop = (): void => {
        reject(signal.reason as Error);
      };
      signal.addEventListener("abort", stop);
    });
    try {
      return await Promise.race([work, aborted]);
    } finally {
      if (stop) signal.removeEventListener("abort", stop);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    for (const resource of this.#resources.splice(0)) await resource[Symbol.asyncDispose]();
  }
}

/** Tells each exchange in two lines, or as JSON in one. */
function traceTo(print: Printer, json: boolean): TraceSink {
  if (json) {
    return (event): void => {
      print.documentLine({ trace: event });
    };
  }
  return (event): void => {
    for (const line of traceText(event).split("\n")) print.line(print.colours.dim(line));
  };
}

/** Tells each call of PKCS #11 in a line, after the exchanges that it took. Of what is wrong on cards {@link findingsTo} tells. */
function callsTo(print: Printer, json: boolean): CK_TRACE_CALLBACK {
  if (json) {
    return (_line, event): void => {
      if (event && "function" in event) print.documentLine({ call: event });
    };
  }
  return (line, event): void => {
    if (!event || "function" in event) print.line(print.colours.dim(line));
  };
}

type Work<Options, Args extends readonly unknown[]> = (
  context: CommandContext,
  options: Options,
  ...args: Args
) => Promise<void>;

/** Makes `work` the action of `command`. `Options` and `Args` are what its definition says. */
export function action<Options extends object, Args extends readonly unknown[] = []>(
  command: Command,
  environment: Environment,
  work: Work<Options, Args>,
  endless: (options: Options) => boolean = (): boolean => false,
): void {
  command.action(async (...parameters: unknown[]) => {
    const args = parameters.slice(0, -2) as unknown as Args;
    const options = command.opts<Options>();
    const globals = command.optsWithGlobals<GlobalOptions>();
    await using context = new CommandContext(environment, globals, `cryptoki ${command.name()}`);
    try {
      await context.untilAborted(work(context, options, ...args));
    } catch (error) {
      if (!(error instanceof InterruptedError && endless(options))) throw error;
    }
  });
}
