import type { Command } from "commander";
import { DataError, toHex } from "../../bytes/index.ts";
import { CKA, CKO, formatUri, objectUri } from "../../cryptoki/index.ts";
import { action } from "../context.ts";
import { referenceOf } from "../input/key-place.ts";
import { examples } from "../input/options.ts";
import { fittingTokens, type Token } from "../input/token.ts";
import { type CertificateSummary, dayOf, shownName, summarise } from "../output/descriptions.ts";
import { NotFoundError, UsageError } from "../output/failures.ts";
import { type Cell, type Environment, type Printer, visible } from "../output/printer.ts";
import { TokenSession } from "../session.ts";

interface ListOptions {
  readonly expiresWithin?: number;
}

const DAY = 86_400_000;

export function addCertificateList(certificate: Command, environment: Environment): void {
  const command = certificate
    .command("list")
    .summary("the certificates on the cards, and when they expire")
    .description("List the certificates on the tokens, and when they expire. No PIN is needed.")
    .argument("[uri]", "a PKCS #11 URI: only tokens that it describes")
    .option("--expires-within <days>", "only those that expire within this time, or have expired: 30d, 8w", readTime)
    .addHelpText(
      "after",
      examples(
        ["cryptoki certificate list", "of every token that is in"],
        ["cryptoki certificate list --expires-within 30d --json | jq -r '.[].subject'", "what must be renewed soon"],
      ),
    );
  action<ListOptions, [string | undefined]>(command, environment, async (context, { expiresWithin }, uri) => {
    const { print } = context;
    const before = expiresWithin === undefined ? undefined : Date.now() + expiresWithin;
    const listed: { token: Token; certificates: Listed[] }[] = [];
    for (const token of await fittingTokens(context, uri)) {
      const all = await certificatesOf(await TokenSession.open(context, token, uri));
      listed.push({
        token,
        certificates: all.filter(({ notAfter }) => before === undefined || !(Date.parse(notAfter) > before)),
      });
    }
    const found = listed.filter(({ certificates }) => certificates.length > 0);
    if (print.json) {
      print.document(
        found.flatMap(({ token, certificates }) => certificates.map((one) => ({ ...one, token: token.label }))),
      );
    } else for (const [index, one] of found.entries()) tell(print, one.token, one.certificates, index > 0);
    if (found.length === 0 && before === undefined) throw new NotFoundError("no certificate on the token");
  });
}

interface Listed extends CertificateSummary {
  readonly id: string;
  readonly reference: string | undefined;
  readonly label: string;
  readonly daysLeft: number | undefined;
  readonly uri: string;
}

/** One that cannot be read is left out: `cryptoki objects` says why. */
async function certificatesOf(session: TokenSession): Promise<Listed[]> {
  const found: Listed[] = [];
  for (const entry of await session.find({ [CKA.CLASS]: CKO.CERTIFICATE })) {
    try {
      const certificate = summarise(await session.value(entry.handle));
      const left = Math.floor((Date.parse(certificate.notAfter) - Date.now()) / DAY);
      found.push({
        id: toHex(entry.id),
        reference: referenceOf(session.token, entry.id),
        label: entry.label,
        ...certificate,
        daysLeft: Number.isNaN(left) ? undefined : left,
        uri: formatUri(objectUri(session.token, entry)),
      });
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
    }
  }
  return found;
}

/** @returns Milliseconds. */
function readTime(text: string): number {
  const [, number = "", unit] = /^(\d{1,5})([dw]?)$/u.exec(text) ?? [];
  if (number === "") throw new UsageError("--expires-within is a number of days or weeks, such as 30d or 8w");
  return Number(number) * (unit === "w" ? 7 : 1) * DAY;
}

function tell(print: Printer, token: Token, certificates: readonly Listed[], further: boolean): void {
  const { colours } = print;
  if (further) print.line();
  print.line(`${colours.bold(visible(token.label))}  ${colours.dim(visible(token.slotDescription))}`);
  print.table(
    ["ID", "REF", "SUBJECT", "ISSUER", "EXPIRES", ""],
    certificates.map(({ id, reference = "", subject, issuer, notAfter, daysLeft }) => [
      id,
      reference,
      shownName(subject),
      subject === issuer ? "itself" : shownName(issuer),
      dayOf(notAfter),
      leftInWords(print, daysLeft),
    ]),
  );
}

function leftInWords({ colours }: Printer, days: number | undefined): Cell {
  if (days === undefined) return "";
  if (days < 0) return { styled: colours.red("expired") };
  const words = days === 1 ? "in 1 day" : `in ${days} days`;
  return days < 30 ? { styled: colours.yellow(words) } : words;
}
