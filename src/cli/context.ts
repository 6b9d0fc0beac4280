import type { Command } from "commander";
import { Concealer, type TraceSink, traceText, traceTransmit, type Transmit } from "../apdu/index.ts";
import { Deadline, memoizeAsync, untilAborted } from "../async/index.ts";
import { DataError } from "../bytes/index.ts";
import type { CardOptions, CardProfile } from "../card/index.ts";
import { type CK_TRACE_CALLBACK, Cryptoki, type CryptokiFunctions, type CryptokiOptions } from "../cryptoki/index.ts";
import { type Pcsc, record } from "../pcsc/index.ts";
import { createRecording, type OpenedReaders, openPcsc, openProfiles } from "./input/card-source.ts";
import type { GlobalOptions } from "./input/options.ts";
import { refuseOverwriting, secretOnStdin } from "./input/used-files.ts";
import { InterruptedError, TimeoutError, UsageError } from "./output/failures.ts";
import { type Environment, findingsTo, Printer, visible, written } from "./output/printer.ts";

/**
 * Makes the module for a p11-kit server, not yet initialised.
 * @throws {UsageError} if the address is malformed.
 */
export async function openServer(address: string): Promise<CryptokiFunctions> {
  const { P11KitModule } = await import("../p11kit/index.ts");
  try {
    return new P11KitModule({ address });
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new UsageError(`--server: ${cause.message}`, { cause });
  }
}

/**
 * Milliseconds to close open resources after a command was cancelled. What is still open then ends with the process.
 */
const GRACE = 400;

/** The context of a command: its options, its output, and the resources to close at its end. */
export class CommandContext implements AsyncDisposable {
  readonly environment: Environment;
  readonly options: GlobalOptions;
  readonly print: Printer;
  /** Prints remarks beside the result, on standard error. */
  readonly remark: Printer;
  /** Aborts on an interruption, and when the time of --timeout is over. */
  readonly signal: AbortSignal;
  readonly #name: string;
  readonly #timer: NodeJS.Timeout | undefined;
  /** The card readers: opened once, closed with the command. */
  readonly pcsc = memoizeAsync(() => this.#open());
  /** PKCS #11 over those readers, or over the server of --server: initialised once, finalised with the command. */
  readonly cryptoki = memoizeAsync(() => this.#initialise());
  #keepPin = false;
  #transport: OpenedReaders["transport"] | undefined;
  readonly #sinks: TraceSink[] = [];
  readonly #callListeners: CK_TRACE_CALLBACK[] = [];
  readonly #observers: ((transmit: Transmit) => Transmit)[] = [];
  readonly #resources: AsyncDisposable[] = [];

  /** @param name The command's name, without its arguments. */
  constructor(environment: Environment, options: GlobalOptions, name: string) {
    const timeout = new AbortController();
    this.#name = name;
    this.options = options;
    this.print = new Printer(environment.stdout, environment.env, options.json ?? false);
    this.remark = new Printer(environment.stderr, environment.env, false);
    this.signal = AbortSignal.any([environment.signal, timeout.signal]);
    this.environment = { ...environment, signal: this.signal };
    if (options.trace) this.listen(traceTo(this.remark, options.json ?? false));
    const { timeout: seconds } = options;
    if (seconds !== undefined) {
      const error = new TimeoutError(`not finished after ${seconds} s (--timeout)`);
      this.#timer = setTimeout(() => {
        timeout.abort(error);
      }, seconds * 1000);
    }
  }

  /** The way to the readers; undefined before they are opened. */
  get transport(): OpenedReaders["transport"] | undefined {
    return this.#transport;
  }

  async #open(): Promise<Pcsc> {
    if (this.options.server !== undefined)
      throw new UsageError("--server gives access to tokens only, not to readers and cards");
    const { record: file } = this.options;
    const recording = file === undefined ? undefined : this.owns(await createRecording(file, this.signal));
    const { pcsc: opened, transport } = await openPcsc(this.options, this.environment, (message) => {
      this.warn(message);
    });
    this.#transport = transport;
    const pcsc = recording ? record(opened, recording.sink, () => new Concealer(), this.#name) : opened;
    this.owns({ [Symbol.asyncDispose]: () => pcsc.close() });
    return pcsc;
  }

  async #initialise(): Promise<CryptokiFunctions> {
    const { server } = this.options;
    const cryptoki = server === undefined ? await this.#overCards() : await openServer(server);
    await cryptoki.C_Initialize();
    this.owns({ [Symbol.asyncDispose]: () => cryptoki.C_Finalize() });
    return cryptoki;
  }

  async #overCards(): Promise<Cryptoki> {
    return new Cryptoki({
      pcsc: await this.pcsc(),
      profiles: this.profiles,
      keepPin: this.#keepPin,
      ...this.cardOptions,
      ...this.applicationOptions,
      ...this.callTrace,
    });
  }

  /**
   * Keeps the PIN for this one command. Call it before the first PKCS #11 call. C_DeriveKey needs it: it has no
   * operation to which a context-specific login could belong.
   */
  keepPin(): void {
    this.#keepPin = true;
  }

  /** Prints a warning on standard error, as JSON with --json. */
  warn(message: string): void {
    if (this.options.json) this.remark.documentLine({ warning: { message } });
    else this.remark.line(`${this.remark.colours.yellow("warning:")} ${visible(message)}`);
  }

  /** The options that make an application report its calls, if there is a listener or --trace. */
  get callTrace(): { readonly trace?: CK_TRACE_CALLBACK } {
    const { trace, json } = this.options;
    const listeners = [...this.#callListeners, ...(trace ? [callsTo(this.remark, json ?? false)] : [])];
    if (listeners.length === 0) return {};
    return {
      trace: (line, event) => {
        for (const one of listeners) one(line, event);
      },
    };
  }

  /** The card profiles for this machine's cards. */
  get profiles(): readonly CardProfile[] {
    return openProfiles(this.options, this.environment);
  }

  /** Options for applications over cards of this machine. */
  get applicationOptions(): Pick<CryptokiOptions, "verifyResults"> {
    const { verifyResults } = this.options;
    return verifyResults ? { verifyResults } : {};
  }

  /** Reports each further exchange with a card to `sink`. */
  listen(sink: TraceSink): void {
    this.#sinks.push(sink);
  }

  /** Reports each call of the application to `callback`. Call it before the first PKCS #11 call. */
  listenToCalls(callback: CK_TRACE_CALLBACK): void {
    this.#callListeners.push(callback);
  }

  /** Shows each further exchange with a card to `observe`, before secrets are concealed. */
  observe(observe: (transmit: Transmit) => Transmit): void {
    this.#observers.push(observe);
  }

  /**
   * Options for connections to cards: they report every exchange to the listeners, and with --trace every finding.
   * Without a listener, exchanges are not explained, and nothing is spent on them.
   */
  get cardOptions(): CardOptions {
    return {
      wrap: (transmit, reader) => this.#observed(transmit, reader),
      ...(this.options.trace && { findings: findingsTo(this.remark, this.options.json ?? false) }),
    };
  }

  #observed(transmit: Transmit, reader: string): Transmit {
    const observed = this.#observers.reduce((inner, observe) => observe(inner), transmit);
    if (this.#sinks.length === 0) return observed;
    const sink: TraceSink = (event) => {
      for (const one of this.#sinks) one(event);
    };
    return traceTransmit(observed, sink, reader);
  }

  /** Closes `resource` when the command ends; the last one is closed first. */
  owns<Resource extends AsyncDisposable>(resource: Resource): Resource {
    this.#resources.unshift(resource);
    return resource;
  }

  /**
   * Closes all that the command opened. After the signal has aborted, this takes at most {@link GRACE} more: a resource
   * may hang for ever.
   * @throws the signal's reason if it aborted and a resource is still open; the error of a resource.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    const { signal } = this;
    const late = signal.aborted;
    const closed = this.#closeAll();
    try {
      await untilAborted(closed, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
      await new Deadline(GRACE)
        .race(closed, () => signal.reason as unknown)
        .catch((cause: unknown) => {
          // The error of the command has been reported already.
          if (!late) throw cause;
        });
    } finally {
      clearTimeout(this.#timer);
    }
  }

  async #closeAll(): Promise<void> {
    for (const resource of this.#resources.splice(0)) await resource[Symbol.asyncDispose]();
  }
}

/** Prints each exchange in two lines, or as JSON in one. */
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

/**
 * Prints each PKCS #11 call in a line, after the exchanges that it took. {@link findingsTo} prints the findings on
 * cards.
 */
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

/** Makes `work` the action of `command`. `Options` and `Args` are the types of the command's definition. */
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
    refuseOverwriting(globals, args);
    const secret = secretOnStdin(globals, args);
    const given = secret === undefined ? environment : { ...environment, secretOnStdin: secret };
    const context = new CommandContext(given, globals, `cryptoki ${command.name()}`);
    const { signal } = context;
    const failures: unknown[] = [];
    try {
      await untilAborted(work(context, options, ...args), signal);
      await untilAborted(written(environment), signal);
    } catch (error) {
      failures.push(error);
    }
    // The first failure counts: errors while closing mostly follow from it.
    await context[Symbol.asyncDispose]().catch((error: unknown) => failures.push(error));
    const [failure] = failures;
    if (failures.length > 0 && !(failure instanceof InterruptedError && endless(options))) throw failure;
  });
}
