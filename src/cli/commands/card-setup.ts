import path from "node:path";
import type { Command } from "commander";
import { copySecret, wipe } from "../../bytes/index.ts";
import type {
  CertificateContents,
  Plan,
  PlannedCertificate,
  SecretName,
  SetupEvent,
  SetupResult,
  SetupTools,
} from "../../setup/index.ts";
import { action, type CommandContext } from "../context.ts";
import { loadX509 } from "../../certificates/index.ts";
import { readExtensions, readSubject } from "../input/certificate-contents.ts";
import { readCertificates } from "../input/certificate-writing.ts";
import { confirm, type ConfirmationOptions, confirmationOption } from "../input/confirmation.ts";
import { LIMIT, readWhole } from "../input/files.ts";
import { warn } from "../input/officer.ts";
import { examples } from "../input/options.ts";
import { NEW_PIN, NEW_PUK, parsePinSource, PIN, PUK, readNewPin, readPin, secret } from "../input/pin.ts";
import { onSetupCard } from "../input/setup-card.ts";
import { setupStore, transcriptSigner } from "../input/setup-files.ts";
import { chooseReader } from "../input/token.ts";
import { NotFoundError, UsageError } from "../output/failures.ts";
import { type Environment, visible } from "../output/printer.ts";
import { NEW_SO_PIN, SO_PIN } from "../session.ts";

interface SetupOptions extends ConfirmationOptions {
  readonly output: string;
  readonly count: number;
  readonly set?: ReadonlyMap<string, string>;
  readonly pukSource?: string;
  readonly soPinSource?: string;
}

const MAX_CARDS = 10_000;

export function addCardSetup(card: Command, environment: Environment): void {
  const command = confirmationOption(
    card
      .command("setup")
      .summary("put a card into service, as a plan says")
      .description(
        "Set up a card as a plan in JSON says: PIN, PUK and management key, random or given; keys with their policies; certificates or " +
          "requests; attestations, which are checked; data objects of a PIV card. The secrets are written to a file that only you can read, " +
          "before the card is changed; a transcript says what was done. If it is interrupted, the same command goes on where it was. " +
          "A card in service is overwritten only after a question.",
      )
      .argument("<plan>", "the plan, a file")
      .option("--output <folder>", "where the transcript, the secrets and the requests are written", ".")
      .option("--count <number>", "set up so many cards, one after another: it waits for the next one", readCount, 1)
      .option(
        "--set <name=value>",
        "replaces {name} in the subjects and alternative names of the plan; may be repeated",
        readSetting,
      )
      .option(
        "--puk-source <source>",
        `where the card's present PUK comes from, as --pin-source; default: ${PUK.variable}`,
      )
      .option(
        "--so-pin-source <source>",
        `where the card's present SO PIN or management key comes from, as --pin-source; default: ${SO_PIN.variable}`,
      ),
  ).addHelpText(
    "after",
    examples(
      ["cryptoki card setup plan.json --output cards", "the card in the reader"],
      ["cryptoki card setup plan.json --count 200", "two hundred cards, one after another"],
      ["cryptoki card setup plan.json --set name=Ada", "with {name} in the plan"],
    ),
  );
  action<SetupOptions, [string]>(command, environment, async (context, options, file) => {
    const { readPlan, PlanError, setUpCard } = await import("../../setup/index.ts");
    const source = await readWhole(file, context.signal, LIMIT.KEY);
    const orUsage = async <T>(work: () => T | Promise<T>): Promise<T> => {
      try {
        return await work();
      } catch (cause) {
        if (!(cause instanceof PlanError)) throw cause;
        throw new UsageError(cause.message, { cause });
      }
    };
    const plan = await orUsage(() => readPlan(source));
    await using given = new GivenSecrets(context, options);
    const shared = await sharedTools(context, options, plan, {
      folder: path.dirname(file),
      version: card.parent?.version() ?? "",
      given,
    });
    const setUp = (reader: string): Promise<SetupResult> =>
      orUsage(() => setUpCard(plan, source, { ...shared, connect: (work) => onSetupCard(context, reader, work) }));
    if (options.count === 1) tellResult(context, options, await setUp(await chooseReader(context)));
    else await setUpMany(context, options, setUp);
  });
}

function readCount(text: string): number {
  const count = /^\d{1,5}$/u.test(text) ? Number(text) : 0;
  if (count < 1 || count > MAX_CARDS) throw new UsageError(`--count is a whole number from 1 to ${MAX_CARDS}`);
  return count;
}

function readSetting(text: string, before: ReadonlyMap<string, string> = new Map()): ReadonlyMap<string, string> {
  const [, name = "", value = ""] = /^([a-z]\w*)=(.+)$/su.exec(text) ?? [];
  if (name === "" || name === "serial")
    throw new UsageError(`--set ${text}: write name=value; {serial} is the card's own`);
  return new Map([...before, [name, value]]);
}

type SharedTools = Omit<SetupTools, "connect">;

async function sharedTools(
  context: CommandContext,
  options: SetupOptions,
  plan: Plan,
  { folder, version, given }: { readonly folder: string; readonly version: string; readonly given: GivenSecrets },
): Promise<SharedTools> {
  const { signal, environment } = context;
  const at = (name: string): string => path.resolve(folder, name);
  return {
    version,
    store: setupStore(options.output),
    readCertificates: async (name) => readCertificates(at(name), await readWhole(at(name), signal, LIMIT.KEY)),
    readSecret: (name, file) => {
      const { way, words } = NEW[name];
      if (file === undefined) return readNewPin(secret(way, `New ${words}`, undefined), environment);
      return readPin(secret(way, words, `file:${at(file)}`), environment);
    },
    currentSecret: (name) => given.get(name),
    contents: (certificate, serial) => contentsOf(certificate, new Map([...(options.set ?? []), ["serial", serial]])),
    confirm: (consequence) => confirm(context, consequence, options),
    tell: (event) => {
      tell(context, event);
    },
    signer: plan.transcript && (await transcriptSigner(at(plan.transcript.signWith), signal)),
    now: () => new Date(),
    signal,
  };
}

const NEW: Readonly<
  Record<
    SecretName,
    { readonly way: typeof PIN | typeof NEW_PIN | typeof NEW_PUK | typeof NEW_SO_PIN; readonly words: string }
  >
> = {
  pin: { way: NEW_PIN, words: "PIN" },
  puk: { way: NEW_PUK, words: "PUK" },
  "management-key": { way: NEW_SO_PIN, words: "management key" },
  "so-pin": { way: NEW_SO_PIN, words: "SO PIN" },
};

/** The card's present secrets, each read once where the command line or the environment gives it. */
class GivenSecrets implements AsyncDisposable {
  readonly #context: CommandContext;
  readonly #options: SetupOptions;
  readonly #read = new Map<string, Promise<Uint8Array>>();

  constructor(context: CommandContext, options: SetupOptions) {
    this.#context = context;
    this.#options = options;
  }

  async get(name: SecretName): Promise<Uint8Array | undefined> {
    const { pukSource, soPinSource } = this.#options;
    const { options, environment } = this.#context;
    const ways = {
      pin: [PIN, options.pinSource],
      puk: [PUK, pukSource],
      "management-key": [SO_PIN, soPinSource],
      "so-pin": [SO_PIN, soPinSource],
    } as const;
    const [way, from] = ways[name];
    if (from === undefined && environment.env[way.variable] === undefined) return undefined;
    const source = from === undefined ? undefined : parsePinSource(from);
    const reading = this.#read.get(way.variable) ?? readPin({ ...way, question: "", source }, environment);
    this.#read.set(way.variable, reading);
    return copySecret(await reading);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const reading of this.#read.values()) wipe(await reading.catch(() => new Uint8Array()));
  }
}

/** @throws {UsageError} for a subject or an extension that cannot be, or a name in braces that has no value. */
async function contentsOf(
  certificate: PlannedCertificate,
  values: ReadonlyMap<string, string>,
): Promise<CertificateContents> {
  const library = await loadX509();
  const fill = (text: string): string =>
    text.replaceAll(/\{(\w+)\}/gu, (whole, name: string) => {
      const value = values.get(name);
      if (value === undefined) throw new UsageError(`the plan has ${whole}; give it a value: --set ${name}=…`);
      return value;
    });
  const { keyUsage, extendedKeyUsage, san, for: use } = certificate;
  return {
    name: readSubject(library, fill(certificate.subject)),
    extensions: readExtensions(library, {
      ...(san && { san: san.map(fill) }),
      ...(use && { for: use }),
      ...(keyUsage && { keyUsage: keyUsage.join(",") }),
      ...(extendedKeyUsage && { extendedKeyUsage: extendedKeyUsage.join(",") }),
    }),
  };
}

function tell(context: CommandContext, event: SetupEvent): void {
  const { remark, print } = context;
  if (event.kind === "warning") warn(context, event.message);
  else if (!print.json && event.kind === "step") remark.line(remark.colours.dim(visible(stepText(event))));
  else if (!print.json && event.kind === "touch")
    remark.line(`Touch the card: the key in ${visible(event.about)} wants it.`);
}

const stepText = ({ step, about }: { readonly step: string; readonly about: string | undefined }): string =>
  about === undefined ? `done: ${step}` : `done: ${step} ${about}`;

/** One JSON document, or with --count one in a line for each card. */
function tellResult({ print }: CommandContext, { output, count }: SetupOptions, result: SetupResult): void {
  const at = (name: string): string => path.join(output, name);
  const { serial, wasDone, digest } = result;
  const secrets = result.secrets === undefined ? undefined : at(result.secrets);
  const transcript = at(result.transcript);
  const document = { serial, outcome: wasDone ? "was done" : "done", transcript, digest, secrets: secrets ?? null };
  if (print.json && count > 1) {
    print.documentLine(document);
    return;
  }
  const done = wasDone
    ? `The card ${serial} was set up by this plan before; nothing was to do.`
    : `The card ${serial} is in service.`;
  const where = `Transcript: ${transcript}, SHA-256 ${digest}.`;
  print.done(`${done} ${where}${secrets === undefined ? "" : ` Secrets: ${secrets}.`}`, document);
}

/** One card after another in one reader. A card that fails is named, and the next one is waited for. */
async function setUpMany(
  context: CommandContext,
  options: SetupOptions,
  setUp: (reader: string) => Promise<SetupResult>,
): Promise<void> {
  let failed = 0;
  let events: number | undefined;
  for (let number = 1; number <= options.count; number++) {
    const next = await nextCard(context, events, number, options.count);
    ({ events } = next);
    try {
      tellResult(context, options, await setUp(next.reader));
    } catch (error) {
      context.signal.throwIfAborted();
      if (!(error instanceof Error) || error instanceof UsageError) throw error;
      failed++;
      warn(context, visible(`card ${number} of ${options.count}: ${error.message}`));
    }
  }
  if (failed > 0)
    throw new Error(`${failed} of ${options.count} cards are not set up; the same command goes on with them`);
}

/** Waits for a card that was inserted after `events` insertions and removals of its reader. */
async function nextCard(
  context: CommandContext,
  events: number | undefined,
  number: number,
  count: number,
): Promise<{ readonly reader: string; readonly events: number }> {
  const pcsc = await context.pcsc();
  let asked = false;
  for await (const readers of pcsc.changes({ signal: context.signal })) {
    const found = readers.filter(
      ({ name, present, mute }) =>
        present && !mute && name.toLowerCase().includes((context.options.reader ?? "").toLowerCase()),
    );
    const [reader, ...more] = found;
    if (more.length > 0) throw new UsageError(`${found.length} readers have a card; choose one with --reader`);
    if (reader && reader.events !== events) return { reader: reader.name, events: reader.events };
    if (!asked && !context.print.json) context.remark.line(`Insert card ${number} of ${count}.`);
    asked = true;
  }
  throw new NotFoundError("the smart-card service has ended");
}
