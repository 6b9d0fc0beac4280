import { existsSync } from "node:fs";
import { type Command, InvalidArgumentError } from "commander";
import { DataError, fromUtf8, toHex, wipe } from "../../bytes/index.ts";
import type { KeyWrapping, KeyWrappingState } from "../../card/index.ts";
import {
  decryptDkekShare,
  encryptDkekShare,
  joinPassword,
  newDkekShare,
  newSharedPassword,
  type PasswordShare,
  splitPassword,
} from "../../pkcs15/index.ts";
import { action, type CommandContext } from "../context.ts";
import { administeredToken, requireMethod } from "../input/card-administration.ts";
import { FOR, readWhole, writeWhole } from "../input/files.ts";
import { examples } from "../input/options.ts";
import { confirm, type ConfirmationOptions, confirmationOption } from "../input/confirmation.ts";
import {
  NEW_PIN,
  newPinOption,
  type NewPinOptions,
  readNewPin,
  readPin,
  secret,
  SHARE_PASSWORD,
} from "../input/pin.ts";
import { chooseToken } from "../input/token.ts";
import { FileError, UnsuitableCardError, UsageError } from "../output/failures.ts";
import { amount, type Environment, visible } from "../output/printer.ts";
import { SO_PIN } from "../session.ts";

const MIN_PASSWORD = 6;
/** Bytes of a share file, and of the shares of its password, at most. */
const MAX_FILE = 65_536;

interface PasswordOptions {
  readonly passwordSource?: string;
}

interface CreateOptions extends PasswordOptions {
  readonly threshold?: number;
  readonly total?: number;
}

interface ImportOptions extends PasswordOptions {
  readonly passwordShares?: string;
}

export function addDkek(program: Command, environment: Environment): void {
  const dkek = program
    .command("dkek")
    .summary("the key under which keys leave a SmartCard-HSM")
    .description("Shares of the Device Key Encryption Key (DKEK), in files that sc-hsm-tool reads and writes too.");
  addInit(dkek, environment);
  addCreate(dkek, environment);
  addImport(dkek, environment);
  addStatus(dkek, environment);
}

const passwordOption = (command: Command): Command =>
  command.option(
    "--password-source <source>",
    `where the password comes from, as --pin-source; default: ${SHARE_PASSWORD.variable}, or a prompt`,
  );

function count(text: string): number {
  if (!/^\d{1,3}$/u.test(text)) throw new InvalidArgumentError("A number up to 255.");
  return Number(text);
}

interface InitOptions extends ConfirmationOptions, NewPinOptions {
  readonly shares: number;
  readonly label?: string;
  readonly soPinSource?: string;
}

function addInit(group: Command, environment: Environment): void {
  const command = newPinOption(
    confirmationOption(
      group
        .command("init")
        .summary("initialise a SmartCard-HSM for a number of shares")
        .description(
          "Initialise a SmartCard-HSM (C_InitToken) so that its keys can leave it once it has got its DKEK shares. All of its keys are " +
            "destroyed. A card that was not initialised before takes the SO PIN, 16 hexadecimal digits, as its new one; others want their own.",
        )
        .argument("[uri]", "a PKCS #11 URI of the token")
        .requiredOption("--shares <n>", "how many shares the DKEK has", count)
        .option("--label <text>", "the new label, at most 32 bytes; default: the present one")
        .option(
          "--so-pin-source <source>",
          `where the SO PIN comes from, as --pin-source; default: ${SO_PIN.variable}, or a prompt`,
        ),
    ),
  ).addHelpText(
    "after",
    examples(["cryptoki dkek init --shares 2 --label Backup", "asks for the SO PIN and a new PIN"]),
  );
  action<InitOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const token = await chooseToken(context, uri);
    const name = visible(token.label);
    const { label = token.label, shares } = options;
    await confirm(context, `all objects of ${name} are destroyed for ever`, options);
    const soPin = await readPin(secret(SO_PIN, `SO PIN of ${name}`, options.soPinSource), context.environment);
    try {
      const pin = await readNewPin(secret(NEW_PIN, `New PIN of ${name}`, options.newPinSource), context.environment);
      const cryptoki = await context.cryptoki();
      try {
        await cryptoki.C_SetVariable("pin", fromUtf8(pin));
        await cryptoki.C_SetVariable("dkek-shares", String(shares));
        await cryptoki.C_InitToken(token.slotID, soPin, label, { signal: context.signal });
      } finally {
        wipe(pin);
      }
    } finally {
      wipe(soPin);
    }
    const state =
      shares === 0
        ? "with a DKEK of its own: its keys can be restored on this card only"
        : `and waits for ${amount(shares, "DKEK share")}`;
    context.print.done(`${visible(label)} is initialised ${state}.`, { label, shares });
  });
}

function addCreate(group: Command, environment: Environment): void {
  const command = passwordOption(
    group
      .command("create")
      .summary("make a new share, encrypted in a file")
      .description(
        "Make a new share and write it to a file, encrypted with a password; no card is needed. With --threshold and --total the password is " +
          "random, and split into parts for so many people, some of whom together open the file: the parts are printed, and stored nowhere. " +
          "Encryption takes some seconds.",
      )
      .argument("<file>", "the new file")
      .option("--threshold <n>", "how many parts of the password open the file", count)
      .option("--total <m>", "how many parts there are", count),
  ).addHelpText(
    "after",
    examples(
      ["cryptoki dkek create share.pbe", "a password is asked for"],
      ["cryptoki dkek create share.pbe --threshold 2 --total 3 --json", "three parts, any two of which open it"],
    ),
  );
  action<CreateOptions, [string]>(command, environment, async (context, options, file) => {
    const { threshold, total } = options;
    if ((threshold === undefined) !== (total === undefined))
      throw new UsageError("--threshold and --total belong together");
    if (!context.options.force && existsSync(file)) throw new FileError(`${file} exists already; --force replaces it`);
    const isSplit = threshold !== undefined && total !== undefined;
    const password = isSplit ? newSharedPassword() : await newPassword(context, options);
    const share = newDkekShare();
    let parts: readonly PasswordShare[] = [];
    try {
      if (isSplit) parts = await asUsage(() => splitPassword(password, threshold, total));
      const bytes = await encryptDkekShare(share, password, { signal: context.signal });
      await writeWhole(file, bytes, { mode: FOR.USER, signal: context.signal });
    } finally {
      wipe(share, password);
    }
    if (!context.print.json) {
      for (const { id, prime, value } of parts) {
        context.print.pairs([
          ["part", String(id)],
          ["prime", prime],
          ["value", value],
        ]);
      }
    }
    context.print.done(`A new DKEK share is in ${file}. Import it with: cryptoki dkek import ${file}`, {
      file,
      ...(isSplit && { threshold, parts }),
    });
  });
}

function addImport(group: Command, environment: Environment): void {
  const command = passwordOption(
    group
      .command("import")
      .summary("give a card its share")
      .description(
        "Give a card a share of its DKEK from a file. The card was initialised for a number of shares, and its keys can be wrapped once it has " +
          "them all. A split password comes from a JSON file with a list of its parts: id, prime and value. Decryption takes some seconds.",
      )
      .argument("<file>", "a file of dkek create, or of sc-hsm-tool")
      .argument("[uri]", "a PKCS #11 URI of the token")
      .option("--password-shares <file>", "the parts of the password, as dkek create --json prints them"),
  ).addHelpText("after", examples(["cryptoki dkek import share.pbe", "then: cryptoki dkek status"]));
  action<ImportOptions, [string, string | undefined]>(command, environment, async (context, options, file, uri) => {
    const { signal } = context;
    const { run } = await administeredToken(context, uri);
    const bytes = await readWhole(file, signal, MAX_FILE);
    const state = await run(async (cardToken) => {
      const wrapping = requireMethod(cardToken, "keyWrapping", "have a DKEK");
      const before = requireState(await wrapping.state({ signal }));
      if (before.outstanding === 0) throw new UnsuitableCardError("the card has all its DKEK shares");
      const password = await sharePassword(context, options);
      let share: Uint8Array = new Uint8Array();
      try {
        share = await asFile(file, () => decryptDkekShare(bytes, password, { signal }));
        return await wrapping.importShare(share, { signal });
      } finally {
        wipe(password, share);
      }
    });
    const { outstanding } = state;
    const rest =
      outstanding > 0
        ? `; ${outstanding} more ${outstanding === 1 ? "is" : "are"} needed`
        : `; its check value is ${checkValue(state)}`;
    context.print.done(
      `The card has ${state.shares - outstanding} of ${amount(state.shares, "DKEK share")}${rest}.`,
      described(state),
    );
  });
}

function addStatus(group: Command, environment: Environment): void {
  const command = group
    .command("status")
    .summary("how many shares a card has, and the check value of its DKEK")
    .description(
      "Show the shares that a card has got, and the check value, which is the same on all cards with the same DKEK.",
    )
    .argument("[uri]", "a PKCS #11 URI of the token")
    .addHelpText("after", examples(["cryptoki dkek status", "before keys are restored on a second card"]));
  action<object, [string | undefined]>(command, environment, async (context, _, uri) => {
    const { run } = await administeredToken(context, uri);
    const state = requireState(
      await run((cardToken) =>
        (requireMethod(cardToken, "keyWrapping", "have a DKEK") satisfies KeyWrapping).state({
          signal: context.signal,
        }),
      ),
    );
    if (context.print.json) context.print.document(described(state));
    else {
      context.print.pairs([
        ["shares", String(state.shares)],
        ["missing", String(state.outstanding)],
        ["check value", state.outstanding > 0 ? "none yet" : checkValue(state)],
      ]);
    }
  });
}

function requireState(state: KeyWrappingState | undefined): KeyWrappingState {
  if (state) return state;
  throw new UnsuitableCardError("this card was initialised without DKEK shares: no key can leave it");
}

const checkValue = ({ checkValue: value }: KeyWrappingState): string => toHex(value).toUpperCase();

const described = (state: KeyWrappingState): object => ({
  shares: state.shares,
  missing: state.outstanding,
  checkValue: state.outstanding > 0 ? null : checkValue(state),
});

async function newPassword(context: CommandContext, { passwordSource }: PasswordOptions): Promise<Uint8Array> {
  const asked = secret(SHARE_PASSWORD, "Password of the new share", passwordSource);
  const password = await readNewPin(asked, context.environment);
  if (password.length >= MIN_PASSWORD) return password;
  wipe(password);
  throw new UsageError(`the password has at least ${MIN_PASSWORD} characters`);
}

async function sharePassword(context: CommandContext, options: ImportOptions): Promise<Uint8Array> {
  const { passwordShares: file, passwordSource } = options;
  if (file === undefined)
    return readPin(secret(SHARE_PASSWORD, "Password of the share", passwordSource), context.environment);
  const text = fromUtf8(await readWhole(file, context.signal, MAX_FILE));
  return asFile(file, () => Promise.resolve(joinPassword(parseParts(text))));
}

/** A list of parts, or the object in which dkek create --json prints them. */
function parseParts(text: string): readonly PasswordShare[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new DataError("not JSON", { cause });
  }
  const list: unknown = Array.isArray(value) ? value : (value as { parts?: unknown } | null)?.parts;
  if (!Array.isArray(list)) throw new DataError("no list of parts");
  return list.map((entry: unknown) => {
    const { id, prime, value: part } = (entry ?? {}) as Partial<PasswordShare>;
    if (typeof id !== "number" || typeof prime !== "string" || typeof part !== "string") {
      throw new DataError("a part has an id, a prime and a value");
    }
    return { id, prime, value: part };
  });
}

async function asUsage<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof DataError) throw new UsageError(cause.message, { cause });
    throw cause;
  }
}

async function asFile<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof DataError) throw new FileError(`${file}: ${cause.message}`, { cause });
    throw cause;
  }
}
