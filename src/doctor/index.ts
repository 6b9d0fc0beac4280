/**
 * Examines a card: queries everything that can be queried without spending a PIN try or changing anything, and reports
 * where the card differs from its standard, the consequences, and what can be done.
 */
import { toHex } from "../bytes/index.ts";
import { type Card, type CardApplication, type CardToken, StatusError } from "../card/index.ts";
import { isYubiKey } from "../piv/index.ts";
import { CertificateJudge } from "./certificates.ts";
import { Authorities, type Libraries, readCertificates } from "./chain.ts";
import { Examination, type Finding, type Unchecked } from "./examination.ts";
import type { ExchangeLog } from "./exchange-log.ts";
import { judgePinStatus } from "./pin-status.ts";
import { examinePiv } from "./piv/examine.ts";
import { examinePkcs15 } from "./pkcs15.ts";
import { examineToken } from "./tokens.ts";

export { ALL_CHECKS } from "./catalogue.ts";
export { type Check, type Finding, type Level, type Unchecked } from "./examination.ts";
export { ExchangeLog } from "./exchange-log.ts";
export { type Libraries, loadLibraries } from "./chain.ts";
export { readCertificates };

export interface ExamineOptions {
  readonly libraries: Libraries;
  /** The time for which validity is checked. */
  readonly at: Date;
  /** Certificates of the authorities that the user trusts, DER; without them chains are not checked. */
  readonly authorities?: readonly Uint8Array[];
  /** Has recorded every exchange with the card. */
  readonly log: ExchangeLog;
  /** The user's PIN; it is verified once for the card, and once more before each use of a key that needs it. */
  readonly pin?: Uint8Array;
}

/** The results of an examination. */
export interface Report {
  readonly profile: CardApplication["profile"];
  readonly atr: string;
  readonly label: string;
  /** The card's maker, if known; else its token's manufacturer. */
  readonly maker: string;
  readonly model: string;
  readonly serialNumber: string;
  readonly findings: readonly Finding[];
  readonly unchecked: readonly Unchecked[];
}

/**
 * Examines a card.
 * @throws {PinError} for the PIN; {CardAccessError} if the card cannot be reached.
 */
export async function examineCard(card: Card, application: CardApplication, options: ExamineOptions): Promise<Report> {
  const { libraries, at, authorities, log, pin } = options;
  const examination = new Examination(at);
  const trusted = authorities && new Authorities(libraries, authorities);
  const judge = new CertificateJudge(libraries, trusted, examination);
  if (!trusted) examination.unchecked("certificate chains", "no authorities were given (--ca)");
  const [token] = application.tokens;
  if (!token) throw new TypeError("a card application without a token");
  const { label, manufacturer, model, serialNumber } = await token.info();
  if (application.profile === "piv") await examinePiv(card, examination, judge, pin);
  else await examineTokens(card, application, examination, judge, log, pin);
  log.examine(examination);
  return {
    profile: application.profile,
    atr: toHex(card.atr),
    label,
    maker: isYubiKey(card.atr) ? "Yubico" : manufacturer,
    model,
    serialNumber,
    findings: examination.findings,
    unchecked: examination.notLookedAt,
  };
}

/** A card without PIV's data objects: checks what its tokens show, and the state of its PINs. */
async function examineTokens(
  card: Card,
  application: CardApplication,
  examination: Examination,
  judge: CertificateJudge,
  log: ExchangeLog,
  pin: Uint8Array | undefined,
): Promise<void> {
  const [first, ...others] = application.tokens;
  if (!first) return;
  const login = pin && ((): Promise<void> => first.login("user", pin));
  await login?.();
  try {
    await examineToken(first, examination, judge, log, login);
  } finally {
    if (login) await first.logout();
  }
  for (const token of others) await examineToken(token, examination, judge, log, undefined);
  for (const token of application.tokens) await askPinStatus(token);
  for (const [reference, sw] of log.pinStatuses()) {
    const name = `PIN ${reference.toString(16).toUpperCase().padStart(2, "0")}`;
    judgePinStatus(examination, name, sw, "ISO/IEC 7816-15 section 8.9");
  }
  if (application.profile === "pkcs15") await examinePkcs15(card, application, examination);
}

/** The status word is in the log; the driver's interpretation does not matter here. */
async function askPinStatus(token: CardToken): Promise<void> {
  try {
    await token.pinStatus("user");
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
  }
}
