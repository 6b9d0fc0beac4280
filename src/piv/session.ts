import { CardError, isExecutionError, parseAtr, type ResponseApdu, StatusError, SW } from "../apdu/index.ts";
import { DataError, equalBytes, toHex } from "../bytes/index.ts";
import {
  type Attempt,
  type Card,
  type CardExchange,
  confirmedAnswer,
  type HoldOptions,
  type KeyType,
  SelectedApplication,
  type Selection,
} from "../card/index.ts";
import { type ApplicationProperties, getData, readApplicationProperties, readData, select } from "./commands.ts";
import { CHUID_HEAD, CONTAINER, type Discovery, NO_DISCOVERY, readChuidHead, readDiscovery } from "./data-objects.ts";
import { typesOfFirmware } from "./keys.ts";
import { getVersion, keyTypeOfAlgorithm } from "./yubico.ts";

/**
 * Historical bytes, hexadecimal, with which cards of the US Department of Defense begin that are CAC cards too (OpenSC, card-piv.c,
 * piv_atrs, after the department's "Token utilization and variation matrix"; pcsc-tools, smartcard_list.txt).
 */
const WITH_CAC: readonly string[] = [
  "0031c06477e303",
  "0031c064b0f310",
  "80318065b0831113ac83",
  "80318065b0831117d683",
  "80318065b07549170f83",
  "73667465206364313434",
  "534345372003002046",
  "8031c164080692",
];
/** Historical bytes of cards with PIV alone: how they begin. */
const PIV_ONLY: readonly string[] = [
  // Sm@rtCafe 7 of the same department, Gemalto IDPrime PIV, ID-One PIV (the same sources).
  "53434537200f002046",
  "80318065b0831117e583",
  "8031c152",
  "8031c15351",
  // "iShield", "uTrust".
  "69536869656c64",
  "755472757374",
];
/** Any that begin with "Yubi": key, Key (OpenSC, card-piv.c). */
const YUBIKEY = "59756269";
/** "Nitrokey", "Canokey": their PIV applications also have Yubico's commands. */
const WITH_YUBICO_COMMANDS: readonly string[] = [YUBIKEY, "4e6974726f6b6579", "43616e6f6b6579"];
/** The application identifier of PIV, which names the application that is selected after reset (ISO/IEC 7816-4 section 12.1.1.1). */
const SELECTED_PIV = "a000000308000010";
const ANYWHERE: readonly string[] = [
  YUBIKEY,
  // "PIVKEY", "SPIVKEY70".
  "5049564b4559",
  SELECTED_PIV,
];

/** Whether cards with this answer to reset usually carry PIV. */
export function announcesPiv(atr: Uint8Array): boolean {
  const historical = historicalBytes(atr);
  return (
    [...WITH_CAC, ...PIV_ONLY].some((beginning) => historical.startsWith(beginning)) ||
    ANYWHERE.some((part) => historical.includes(part))
  );
}

/**
 * Whether cards with this answer to reset have PIV selected after a reset, as SP 800-73-4 part 1 section 2.2 has it for cards with
 * PIV alone.
 */
function announcesSelectedPiv(atr: Uint8Array): boolean {
  const historical = historicalBytes(atr);
  return historical.includes(SELECTED_PIV) || PIV_ONLY.some((beginning) => historical.startsWith(beginning));
}

/** Whether this is a YubiKey's answer to reset. A YubiKey answers PIV commands only after PIV was selected. */
export function isYubiKey(atr: Uint8Array): boolean {
  return historicalBytes(atr).includes(YUBIKEY);
}

/** Whether the PIV application of cards with this answer to reset has the commands that Yubico added to PIV. */
function announcesYubicoCommands(atr: Uint8Array): boolean {
  const historical = historicalBytes(atr);
  return WITH_YUBICO_COMMANDS.some((part) => historical.includes(part));
}

/** Historical bytes in hexadecimal; empty if the answer to reset is malformed. */
function historicalBytes(atr: Uint8Array): string {
  try {
    return toHex(parseAtr(atr).historicalBytes);
  } catch (error) {
    if (error instanceof DataError) return "";
    throw error;
  }
}

/**
 * Status words that may come from another application, which another program has selected: it does not know the object,
 * key or instruction, or its PIN is not verified.
 */
const AMBIGUOUS_STATUS: ReadonlySet<number> = new Set([
  SW.SECURITY_STATUS_NOT_SATISFIED,
  SW.CONDITIONS_NOT_SATISFIED,
  SW.WRONG_DATA,
  SW.FUNCTION_NOT_SUPPORTED,
  SW.FILE_NOT_FOUND,
  SW.INCORRECT_P1_P2,
  SW.REFERENCED_DATA_NOT_FOUND,
  SW.WRONG_P1_P2,
  SW.INSTRUCTION_NOT_SUPPORTED,
  SW.CLASS_NOT_SUPPORTED,
]);

const GET_DISCOVERY = getData(CONTAINER.DISCOVERY.tag);

/** Sends a command to the PIV application and returns the answer with any status word. */
export type PivExchange = CardExchange["send"];

/** The PIV application on a card that other programs may use too. */
export class PivSession implements Selection {
  readonly card: Card;
  /** Whether it is a YubiKey, by its answer to reset. */
  readonly isYubiKey: boolean;
  readonly #isYubicoLike: boolean;
  readonly #application: SelectedApplication;
  #discovery: Discovery | undefined;
  /** The answer that proved PIV by its discovery object: the same bytes prove it again. */
  #proof: Uint8Array | undefined;
  /** The version of a YubiKey's firmware; empty if unknown. */
  #version: Uint8Array | undefined;
  /** The application property template from the last SELECT. */
  #properties: ApplicationProperties = { label: "", algorithms: [] };
  /** Whether the card has no discovery object, and its CHUID has confirmed that PIV is selected. */
  #provedByChuid = false;

  constructor(card: Card) {
    this.card = card;
    this.isYubiKey = isYubiKey(card.atr);
    this.#isYubicoLike = announcesYubicoCommands(card.atr);
    this.#application = new SelectedApplication(card, this);
  }

  /** Whether the card announces Yubico's commands: in its answer to reset, or to SELECT. */
  get announcesYubicoCommands(): boolean {
    return this.#isYubicoLike || LABELS.test(this.#properties.label);
  }

  /** The key types that the card announces: a YubiKey by its version. Empty if it announces none. */
  async computedTypes(): Promise<readonly KeyType[]> {
    const told = this.#properties.algorithms.flatMap((id) => keyTypeOfAlgorithm(id) ?? []);
    if (!this.isYubiKey) return told;
    this.#version ??= await this.run(async (send) => {
      const { data, sw } = await send(getVersion());
      return sw === SW.OK ? data : new Uint8Array();
    });
    return this.#version.length === 0 ? told : typesOfFirmware(this.#version);
  }

  /**
   * Runs `work` with exclusive use of the card. If the card refuses as another application would, the PIV application
   * is confirmed, selected if necessary, and `work` runs once more: it must be repeatable.
   */
  run<T>(work: (send: PivExchange, attempt: Attempt) => Promise<T>, options?: HoldOptions): Promise<T> {
    return this.#application.runOptimistically((exchange, attempt) => {
      const send: PivExchange = async (command, enough) => {
        const answer = await exchange.send(command, enough);
        if (AMBIGUOUS_STATUS.has(answer.sw)) await attempt.confirm();
        return answer;
      };
      return work(send, attempt);
    }, options);
  }

  /**
   * Runs `work`, which must never reach another application because it could spend a try of a PIN there, or use another
   * key.
   */
  runConfirmed<T>(work: (exchange: CardExchange) => Promise<T>, options?: HoldOptions): Promise<T> {
    return this.#application.runConfirmed(work, options);
  }

  /** Makes the card forget all verified PINs and keys. */
  reset(): Promise<void> {
    return this.card.reset();
  }

  /**
   * Finds the application. If the card is known to have it selected after a reset, it returns its discovery object, which is needed
   * anyway for the PIN policy; otherwise SELECT decides. If another program uses the card, SELECT comes last: it may reset a
   * verified PIN.
   * @returns Whether the card has the application.
   * @throws {StatusError} if the card fails instead of answering.
   */
  claim(): Promise<boolean> {
    return this.card.exclusively(async (exchange) => {
      const selects = !announcesSelectedPiv(this.card.atr) && (await this.card.alone());
      if (!selects && (await this.#readDiscovery(exchange))) {
        this.#application.confirmed();
        return true;
      }
      const { data, sw } = await confirmedAnswer(() => exchange.send(select()));
      if (sw === SW.OK) this.#selected(data);
      if (isExecutionError(sw)) throw new StatusError("SELECT of the PIV application", sw);
      return sw === SW.OK;
    });
  }

  /**
   * The PIN policy; read once. Makes with Yubico's commands have no global PIN, so the answer is known.
   * @throws {StatusError} if the card fails instead of answering.
   */
  async discovery(): Promise<Discovery> {
    if (!this.#discovery && this.announcesYubicoCommands) return NO_DISCOVERY;
    this.#discovery ??= await this.run(async (send) => {
      const answer = await send(GET_DISCOVERY);
      if (isExecutionError(answer.sw)) throw new StatusError("GET DATA of the discovery object", answer.sw);
      return parseDiscovery(answer) ?? NO_DISCOVERY;
    });
    return this.#discovery;
  }

  /** For {@link SelectedApplication} only, as {@link probe}. */
  async select(exchange: CardExchange): Promise<void> {
    const { data, sw } = await exchange.send(select());
    if (sw !== SW.OK) throw new StatusError("SELECT of the PIV application", sw);
    this.#readProperties(data);
  }

  #selected(answer: Uint8Array): void {
    this.#application.confirmed();
    this.#readProperties(answer);
  }

  #readProperties(answer: Uint8Array): void {
    this.#properties = readApplicationProperties(answer);
  }

  /**
   * Reads a PIV object, which changes nothing in any application and, unlike SELECT, keeps verified PINs. SP 800-73-4
   * has the discovery object for this; a card without one may have a CHUID.
   */
  async probe(exchange: CardExchange): Promise<boolean> {
    const mayHaveDiscovery = this.#discovery?.piv ?? !this.#provedByChuid;
    if (mayHaveDiscovery && (await this.#readDiscovery(exchange))) return true;
    if (this.#discovery?.piv) return false;
    const { data, sw } = await exchange.send(getData(CONTAINER.CHUID.tag), CHUID_HEAD);
    const proved = (sw === SW.OK || sw >> 8 === SW.BYTES_AVAILABLE >> 8) && isChuid(data);
    this.#provedByChuid ||= proved;
    return proved;
  }

  async #readDiscovery(exchange: CardExchange): Promise<boolean> {
    const answer = await exchange.send(GET_DISCOVERY);
    if (answer.sw === SW.OK && this.#proof && equalBytes(answer.data, this.#proof)) return true;
    const discovery = parseDiscovery(answer);
    if (!discovery?.piv) return false;
    this.#discovery = discovery;
    this.#proof = answer.data;
    return true;
  }
}

/**
 * Application labels of open source firmware with Yubico's commands: trussed's (SoloKeys, Nitrokey 3), PivApplet, and pico-openpgp (its
 * src/openpgp/piv.c).
 */
const LABELS = /^(?:SoloKeys|Nitrokey|PivApplet|Pico Keys)/u;

function isChuid(data: Uint8Array): boolean {
  try {
    const { guid, fascn } = readChuidHead(data);
    return guid !== undefined || fascn !== undefined;
  } catch (error) {
    if (error instanceof DataError) return false;
    throw error;
  }
}

/** Undefined for a refusal and for anything but a discovery object: another application may have answered. */
function parseDiscovery({ data, sw }: ResponseApdu): Discovery | undefined {
  if (sw !== SW.OK) return undefined;
  try {
    const value = readData(CONTAINER.DISCOVERY.tag, data);
    return value && readDiscovery(value);
  } catch (error) {
    if (error instanceof DataError || error instanceof CardError) return undefined;
    throw error;
  }
}
