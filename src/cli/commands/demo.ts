import { createPublicKey, verify, X509Certificate } from "node:crypto";
import type { Command } from "commander";
import type { TraceEvent } from "../../apdu/index.ts";
import { toHex, utf8 } from "../../bytes/index.ts";
import { CKM, formatUri, tokenUri } from "../../cryptoki/index.ts";
import { action, CommandContext } from "../context.ts";
import { type Cell, type Environment, type Printer, visible } from "../output/printer.ts";
import { NotFoundError, VerificationFailedError } from "../output/failures.ts";
import { readWhole } from "../input/files.ts";
import { DEFAULT_CARD, examples } from "../input/options.ts";
import { describeObject, TYPE_WORDS } from "../output/descriptions.ts";
import { isNewCard } from "../input/card-source.ts";
import { choosePrivateKey, searchTemplate, USE } from "../input/selection.ts";
import { TokenSession } from "../session.ts";
import { fittingTokens } from "../input/token.ts";

/** The PIN of a new virtual card. */
const PIN = "123456";
/** The PIV authentication key. */
const KEY = Uint8Array.of(0x01);
const LETTER = "Dear reader,\n\nthis letter was signed by a smart card that is made of software.\n";

/** What the demonstration did, as `--json` prints it. */
interface Demonstration {
  readonly reader: { readonly name: string; readonly atr: string };
  readonly token: { readonly label: string; readonly serialNumber: string; readonly uri: string };
  readonly objects: readonly {
    readonly type: string;
    readonly id: string;
    readonly key: string;
    readonly label: string;
  }[];
  readonly signed: {
    readonly what: string;
    readonly bytes: number;
    readonly mechanism: string;
    readonly signature: string;
  };
  readonly subject: string;
  readonly verified: boolean;
  readonly exchanges: readonly Exchange[];
}

interface Exchange {
  readonly step: string;
  readonly command: string;
  readonly name: string;
  readonly meaning: string;
  readonly status: string;
  readonly outcome: string;
}

export function addDemo(program: Command, environment: Environment): void {
  const command = program
    .command("demo")
    .summary("sign with a virtual card and show every step")
    .description(
      "Make a virtual card (default: PIV), show it as a PKCS #11 token, log in, sign a letter with its key, and verify the " +
        "signature with Node's own cryptography. Then show every APDU that this took, with its meaning.",
    )
    .argument("[file]", "a file to sign; default: the built-in letter")
    .addHelpText(
      "after",
      examples(
        ["cryptoki demo", "the whole demonstration, in about a second"],
        ["cryptoki demo --virtual pkcs15", "with a PKCS #15 card"],
        ["cryptoki demo contract.pdf", "with a file of your own"],
        ["cryptoki demo --json | jq .verified", "for a program"],
      ),
    );
  action<object, [string | undefined]>(command, environment, async (given, _, file) => {
    await using context = ownCard(given);
    const done = await demonstrate(context, file);
    if (context.print.json) context.print.document(done);
    else tell(context, done);
    if (!done.verified) throw new VerificationFailedError("the signature is not valid");
  });
}

/** The context with a virtual card in it, and the PIN if the card is new. */
function ownCard({ environment, options }: CommandContext): CommandContext {
  const virtual = options.virtual === undefined || options.virtual === true ? DEFAULT_CARD : options.virtual;
  const env = isNewCard(virtual) ? { ...environment.env, CRYPTOKI_PIN: PIN } : environment.env;
  return new CommandContext({ ...environment, env }, { ...options, virtual }, "cryptoki demo");
}

async function demonstrate(context: CommandContext, file: string | undefined): Promise<Demonstration> {
  const data = file === undefined ? utf8(LETTER) : await readWhole(file, context.signal);
  let step = "find the token";
  const exchanges: Exchange[] = [];
  context.listen((event) => exchanges.push({ step, ...exchangeOf(event) }));

  const [reader] = await (await context.pcsc()).readers();
  // A card with two PINs shows two tokens; the demonstration uses the first.
  const [token] = await fittingTokens(context);
  step = "list the objects";
  const session = await TokenSession.open(context, token);
  const objects = [];
  for (const object of await session.find({})) {
    const { key = "" } = await describeObject(session, object);
    objects.push({ type: TYPE_WORDS.get(object.class) ?? "other", id: toHex(object.id), key, label: object.label });
  }
  step = "read the certificate";
  const [found] = await session.find(searchTemplate({ id: KEY, type: "cert" }));
  if (!found) throw new NotFoundError(`no certificate with id ${toHex(KEY)} on the token`);
  const certificate = await session.value(found.handle);
  step = "log in";
  await session.login();
  step = "sign";
  const key = await choosePrivateKey(session, { id: KEY }, USE.sign);
  const signature = await session.sign(key, { mechanism: CKM.SHA256_RSA_PKCS }, data);

  const { label, serialNumber } = token;
  const x509 = new X509Certificate(certificate);
  return {
    reader: { name: reader?.name ?? "", atr: toHex(reader?.atr ?? new Uint8Array()) },
    token: { label, serialNumber, uri: formatUri(tokenUri(token)) },
    objects,
    signed: {
      what: file ?? "a letter",
      bytes: data.length,
      mechanism: "CKM_SHA256_RSA_PKCS",
      signature: Buffer.from(signature).toString("base64"),
    },
    subject: x509.subject.split("\n").reverse().join(", "),
    verified: verify("sha256", data, createPublicKey(x509.toString()), signature),
    exchanges,
  };
}

function exchangeOf({ command, explanation, status, error }: TraceEvent): Omit<Exchange, "step"> {
  const { name, details } = explanation;
  return {
    command,
    name,
    meaning: details.join(", "),
    status: status?.code ?? "",
    outcome: error ?? status?.name ?? "",
  };
}

function tell({ print }: CommandContext, done: Demonstration): void {
  const { colours } = print;
  const { reader, token, signed, exchanges } = done;
  const heading = (text: string): void => {
    print.line(`\n${colours.bold(colours.cyan(text))}`);
  };
  heading("A card in a reader");
  print.pairs([[reader.name, `answer to reset: ${toSpaced(reader.atr)}`]], "  ");
  heading("Its PKCS #11 token");
  print.pairs(
    [
      ["label", token.label],
      ["serial number", token.serialNumber],
      ["URI", token.uri],
    ],
    "  ",
  );
  heading("Objects visible without the PIN");
  print.table(
    ["  ID", "TYPE", "KEY", "LABEL"],
    done.objects.map(({ id, type, key, label }) => [`  ${id}`, type, key, label]),
  );
  heading(`Logged in with the PIN; the card signed ${signed.what} (${signed.bytes} bytes)`);
  print.pairs(
    [
      ["mechanism", signed.mechanism],
      ["signature", `${signed.signature.slice(0, 60)}...`],
    ],
    "  ",
  );
  heading(`Exchanges with the card: ${exchanges.length} APDUs`);
  print.table(["    COMMAND", "MEANING", "ANSWER"], exchangeRows(print, exchanges));
  heading("Verified without the card, by Node's own cryptography, with the key in the certificate of");
  print.line(`  ${done.subject}`);
  print.line(
    done.verified
      ? `\n${colours.green(colours.bold("✔ The signature is valid."))}\n`
      : `\n${colours.red(colours.bold("✘ The signature is NOT valid."))}\n`,
  );
}

const toSpaced = (hex: string): string => (hex.match(/../gu) ?? []).join(" ").toUpperCase();

function exchangeRows({ colours }: Printer, exchanges: readonly Exchange[]): Cell[][] {
  return exchanges.flatMap(({ step, name, meaning, status, outcome }, index) => {
    const good = status.startsWith("90") || status.startsWith("61");
    const answer = good ? colours.green(status) : `${colours.yellow(status)} ${visible(shortened(outcome, 36))}`;
    const row = [{ styled: `    ${colours.bold(name)}` }, shortened(meaning, 68), { styled: answer }];
    return exchanges[index - 1]?.step === step ? [row] : [[{ styled: `  ${colours.cyan(step)}` }, "", ""], row];
  });
}

const shortened = (text: string, length: number): string =>
  text.length > length ? `${text.slice(0, length - 3)}...` : text;
