import { type Command, Option } from "commander";
import { toHex } from "../../bytes/index.ts";
import { CKO, formatUri, objectUri } from "../../cryptoki/index.ts";
import { action } from "../context.ts";
import { type Cell, type Environment, type Printer, visible } from "../output/printer.ts";
import { NotFoundError, UnreadableObjectError } from "../output/failures.ts";
import { referenceOf } from "../input/key-place.ts";
import { examples } from "../input/options.ts";
import { dayOf, describeObject, type ObjectDetails, TYPE_WORDS } from "../output/descriptions.ts";
import { findSelected, OBJECT_TYPES, readSelection, type SelectionOptions } from "../input/selection.ts";
import { isPinGiven, type ObjectEntry, TokenSession } from "../session.ts";
import { fittingTokens, onlyToken, type Token } from "../input/token.ts";

interface ObjectsOptions extends SelectionOptions {
  readonly login?: true;
  readonly uris?: true;
  readonly all?: true;
  readonly details?: true;
}

export function addObjects(program: Command, environment: Environment): void {
  const command = program
    .command("objects")
    .summary("list the keys, certificates and data on the cards")
    .description(
      "List the keys and certificates on the tokens; with --login private keys too; with --all data objects and all else. Whose a " +
        "certificate is and when it expires is in the certificate itself: it is shown for PIV cards, and with --details.",
    )
    .argument("[uri]", "a PKCS #11 URI: list only objects that it matches")
    .option("--login", "give the PIN first, and list private objects too")
    .option("--all", "list data objects and all else, too, also those of a PIV card")
    .option("--details", "read every certificate, which takes its time: whose it is, and when it expires")
    .addOption(new Option("--type <type>", "only objects of this type").choices(OBJECT_TYPES))
    .option("--id <hex>", "only objects with this CKA_ID")
    .option("--label <text>", "only objects with this CKA_LABEL")
    .option("--uris", "show the PKCS #11 URI of each object")
    .addHelpText(
      "after",
      examples(
        ["cryptoki objects", "certificates and public keys"],
        ["cryptoki objects --login", "private keys too"],
        ["cryptoki objects --all", "data objects too"],
        ["cryptoki objects --details", "whose the certificates are, and when they expire"],
        ["cryptoki objects --type cert --json", "for a program: certificates only"],
        ["cryptoki --virtual objects --login --pin-source env:PIN", "on a virtual card"],
      ),
    );
  action<ObjectsOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const { print } = context;
    let tokens: readonly Token[] = await fittingTokens(context, uri);
    const selection = readSelection(options, uri);
    // Each token has its own PIN; another token's PIN would spend a try.
    if (options.login && tokens.length > 1 && isPinGiven(context, uri)) {
      tokens = [await onlyToken(context, tokens, `there is one PIN, but ${tokens.length} tokens`)];
    }
    const listed: { token: Token; objects: DetailedObject[] }[] = [];
    for (const token of tokens) {
      const session = await TokenSession.open(context, token, uri);
      if (options.login) await session.login();
      const objects: DetailedObject[] = [];
      // The list of a PIV card's keys was made from its certificates.
      const readsCertificates = options.details ?? referenceOf(token, Uint8Array.of(1)) !== undefined;
      for (const object of await listedObjects(session, selection, options)) {
        objects.push({ ...object, details: await describeObject(session, object, readsCertificates) });
      }
      listed.push({ token, objects });
    }
    if (print.json) print.document(listed.flatMap(({ token, objects }) => objects.map((one) => document(token, one))));
    else
      listed.forEach((one, index) => {
        tell(print, one.token, one.objects, options.uris ?? false, index > 0);
      });
    const broken = listed.flatMap(({ objects }) => objects).filter(({ details }) => details.unreadable);
    if (broken.length > 0) {
      throw new UnreadableObjectError(`${broken.length} of the objects cannot be read; the list shows why`);
    }
    if (listed.every(({ objects }) => objects.length === 0)) throw new NotFoundError("no object on the token matches");
  });
}

/**
 * The objects to list. Without --all, and unless they are named, only keys and certificates. A PIV card is asked for each
 * of its data objects, so they are looked for only if they are wanted.
 */
async function listedObjects(
  session: TokenSession,
  selection: ReturnType<typeof readSelection>,
  { all }: ObjectsOptions,
): Promise<ObjectEntry[]> {
  const found = await findSelected(session, selection);
  if (selection.id ?? selection.label ?? selection.type) return found;
  if (!all) return found.filter((object) => KEYS_AND_CERTIFICATES.includes(object.class));
  const known = new Set(found.map(({ handle }) => handle));
  const data = await findSelected(session, { type: "data" });
  return [...found, ...data.filter(({ handle }) => !known.has(handle))];
}

const KEYS_AND_CERTIFICATES: readonly number[] = [CKO.CERTIFICATE, CKO.PUBLIC_KEY, CKO.PRIVATE_KEY, CKO.SECRET_KEY];

interface DetailedObject extends ObjectEntry {
  readonly details: ObjectDetails;
}

/** An object as `--json` prints it. */
function document(token: Token, object: DetailedObject): object {
  const uri = objectUri(token, object);
  return {
    type: uri.type ?? "other",
    id: toHex(object.id),
    label: object.label,
    ...object.details,
    token: token.label,
    uri: formatUri(uri),
  };
}

function tell(print: Printer, token: Token, objects: readonly DetailedObject[], uris: boolean, further: boolean): void {
  const { colours } = print;
  if (further) print.line();
  print.line(`${colours.bold(visible(token.label))}  ${colours.dim(visible(token.slotDescription))}`);
  print.table(
    ["ID", "TYPE", "KEY", "LABEL", "EXPIRES", uris ? "URI" : "ABOUT"],
    objects.map((object) => {
      const { key = "", about = "", notAfter = "" } = object.details;
      const last = uris ? formatUri(objectUri(token, object)) : about;
      return [
        toHex(object.id),
        TYPE_WORDS.get(object.class) ?? "other",
        key,
        object.label,
        expiry(print, notAfter),
        last,
      ];
    }),
  );
}

/** A day, red once it is over, yellow in the month before. */
function expiry({ colours }: Printer, notAfter: string): Cell {
  const day = dayOf(notAfter);
  const left = Date.parse(notAfter) - Date.now();
  if (left < 0) return { styled: colours.red(visible(day)) };
  return left < MONTH ? { styled: colours.yellow(visible(day)) } : day;
}

/** Milliseconds. */
const MONTH = 30 * 86_400_000;
