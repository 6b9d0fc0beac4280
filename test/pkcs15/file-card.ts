import { readFileSync } from "node:fs";
import { decodeCommand, encodeResponse } from "../../src/apdu/index.ts";
import { fromHex, toHex } from "../../src/bytes/index.ts";
import { Card } from "../../src/card/index.ts";
import { type InProcessCard, MemoryReaders } from "../../src/pcsc/index.ts";

export const READER = "Memory Reader";

/** A file of a {@link FileCard}: what SELECT tells of it, and what it holds. */
export interface CardFile {
  /** Hexadecimal; left out, SELECT tells nothing. */
  readonly control?: string;
  readonly contents: string;
  /** Of a file of records, which has no contents besides. */
  readonly records?: string[];
}

/** How the card departs from the standard. */
export interface Quirks {
  /** P2 values that SELECT takes. */
  readonly answers?: readonly number[];
  /** SELECT by path is unknown. */
  readonly noPath?: boolean;
  /** The longest answer; a longer Le is 6700. */
  readonly maxRead?: number;
  /** One byte for every READ BINARY, of files that have no end. */
  readonly dribble?: boolean;
  /** 9000 without data for every READ BINARY from this offset on. */
  readonly emptyFrom?: number;
}

/** READ BINARY, READ RECORD, UPDATE BINARY, UPDATE RECORD, APPEND RECORD. */
const IN_FILES: ReadonlySet<number> = new Set([0xb0, 0xb2, 0xd6, 0xdc, 0xe2]);

/** A file system without keys and PINs, and a script for every other command. */
export class FileCard implements InProcessCard {
  readonly atr: Uint8Array;
  readonly commands: string[] = [];
  /** Answers by command; Le does not count. */
  readonly script = new Map<string, string>();
  /** Keys without 3F00: "50155031". */
  readonly files: Map<string, CardFile>;
  readonly #aid: string | undefined;
  /** What SELECT by name tells. */
  readonly #selectAnswer: string;
  readonly #quirks: Quirks;
  #selected: string | undefined;
  #directory = "";
  #applet: boolean;

  constructor(
    options: { atr?: string; aid?: string; selectAnswer?: string; files: Readonly<Record<string, CardFile>> } & {
      quirks?: Quirks;
    },
  ) {
    this.atr = fromHex(options.atr ?? "3b80800101");
    this.files = new Map(Object.entries(options.files));
    this.#aid = options.aid;
    this.#selectAnswer = options.selectAnswer ?? "";
    this.#quirks = options.quirks ?? {};
    this.#applet = options.aid === undefined;
  }

  /** Another application took the place of this one. */
  deselect(): void {
    this.#applet = false;
    this.#selected = undefined;
    this.#directory = "";
  }

  resets = 0;

  reset(): void {
    this.resets++;
    this.#selected = undefined;
    this.#directory = "";
    this.#applet = this.#aid === undefined;
  }

  /** Runs before each command; the card is pulled if it says so: the command never reaches it. */
  before: ((command: string) => "pull" | undefined) | undefined;

  transmit(command: Uint8Array): Promise<Uint8Array> {
    if (this.before?.(toHex(command)) === "pull") return new Promise(() => undefined);
    this.commands.push(toHex(command));
    return Promise.resolve(this.#answer(command));
  }

  #answer(bytes: Uint8Array): Uint8Array {
    const scripted = this.script.get(withoutLe(toHex(bytes)));
    if (scripted !== undefined) return fromHex(scripted);
    const { ins, p1, p2, data = new Uint8Array(), ne = 0 } = decodeCommand(bytes);
    if (ins === 0xa4) return this.#select(p1, p2, toHex(data));
    if (!this.#applet) return fromHex("6986");
    const records = this.#selected === undefined ? undefined : this.files.get(this.#selected)?.records;
    if (records && IN_FILES.has(ins)) return this.#inRecords(records, ins, p1, toHex(data));
    if (ins !== 0xb0) return this.#write(ins, p1 * 256 + p2, data);
    return this.#read(p1, p2, ne);
  }

  #write(ins: number, offset: number, data: Uint8Array): Uint8Array {
    switch (ins) {
      case 0xdb:
        return this.#put(data);
      case 0xe0:
        return this.#create(toHex(data));
      case 0xe4:
        return this.#delete(toHex(data));
      case 0xd6:
        return this.#update(offset, toHex(data));
      default:
        return fromHex("6d00");
    }
  }

  #read(p1: number, p2: number, ne: number): Uint8Array {
    if (ne > (this.#quirks.maxRead ?? 256)) return fromHex("6700");
    // Directories, 44xx, have the last five bits of their identifiers as short ones.
    const short = (p1 & 0x80) !== 0;
    if (short) this.#selected = [...this.files.keys()].find((path) => isShort(path, this.#directory, p1 & 0x1f));
    const file = this.#selected === undefined ? undefined : this.files.get(this.#selected);
    if (!file) return fromHex(short ? "6a82" : "6986");
    const contents = fromHex(file.contents);
    const offset = short ? p2 : p1 * 256 + p2;
    if (offset > contents.length) return fromHex("6b00");
    if (this.#quirks.dribble) return fromHex("309000");
    if (offset >= (this.#quirks.emptyFrom ?? Infinity)) return fromHex("9000");
    const part = contents.subarray(offset, offset + Math.min(ne, 256));
    return encodeResponse({ data: part, sw: part.length < ne && ne < 256 ? 0x6282 : 0x9000 });
  }

  /** READ RECORD, UPDATE RECORD and APPEND RECORD; no byte of such a file is read by itself. */
  #inRecords(records: string[], ins: number, number: number, data: string): Uint8Array {
    const record = records[number - 1];
    if (ins === 0xe2) {
      records.push(data);
      return fromHex("9000");
    }
    if (ins !== 0xb2 && ins !== 0xdc) return fromHex("6981");
    if (record === undefined) return fromHex("6a83");
    if (ins === 0xb2) return fromHex(`${record}9000`);
    if (data.length !== record.length) return fromHex("6700");
    records[number - 1] = data;
    return fromHex("9000");
  }

  /** What PUT DATA brought, chained or not. */
  put = "";

  #put(data: Uint8Array): Uint8Array {
    this.put += toHex(data);
    return fromHex("9000");
  }

  #create(fcp: string): Uint8Array {
    const size = Number.parseInt(/8[01]02(....)/u.exec(fcp)?.[1] ?? "", 16);
    const path = this.#directory + (/8302(....)/u.exec(fcp)?.[1] ?? "");
    if (this.files.has(path)) return fromHex("6a89");
    this.files.set(path, { control: fcp, contents: "00".repeat(size) });
    this.#selected = path;
    return fromHex("9000");
  }

  #delete(id: string): Uint8Array {
    return fromHex(this.files.delete(this.#directory + id) ? "9000" : "6a82");
  }

  #update(offset: number, data: string): Uint8Array {
    const file = this.#selected === undefined ? undefined : this.files.get(this.#selected);
    if (!file || this.#selected === undefined) return fromHex("6986");
    if (2 * offset + data.length > file.contents.length) return fromHex("6b00");
    const contents = file.contents.slice(0, 2 * offset) + data + file.contents.slice(2 * offset + data.length);
    this.files.set(this.#selected, { ...file, contents });
    return fromHex("9000");
  }

  #select(p1: number, p2: number, name: string): Uint8Array {
    if (p1 === 0x04) {
      if (name !== this.#aid) return fromHex("6a82");
      this.#applet = true;
      this.#directory = "5015";
      return fromHex(`${this.#selectAnswer}9000`);
    }
    if (!this.#applet) return fromHex("6999");
    if (this.#quirks.answers && !this.#quirks.answers.includes(p2)) return fromHex("6a86");
    if (this.#quirks.noPath && (p1 === 0x08 || p1 === 0x09)) return fromHex("6a81");
    const path = name === "3f00" ? "" : p1 === 0x08 ? name : this.#directory + name;
    const file = this.files.get(path);
    const isDirectory =
      path === "" || [...this.files.keys()].some((key) => key.length > path.length && key.startsWith(path));
    if (!file && !isDirectory) return fromHex("6a82");
    this.#selected = file ? path : undefined;
    this.#directory = file ? path.slice(0, -4) : path;
    return fromHex(`${p2 === 0x0c ? "" : (file?.control ?? "")}9000`);
  }
}

function isShort(path: string, directory: string, shortId: number): boolean {
  return path.slice(0, -2) === `${directory}44` && (Number.parseInt(path.slice(-2), 16) & 0x1f) === shortId;
}

/** A short command without Le: how much an answer may hold is the reader's matter. */
export function withoutLe(command: string): string {
  const length = Number.parseInt(command.slice(8, 10), 16);
  return command.length <= 10 ? command.slice(0, 8) : command.slice(0, 10 + 2 * length);
}

interface Recording {
  readonly atr: string;
  readonly aid: string;
  readonly selectAnswer: string;
  readonly files: Readonly<Record<string, Required<CardFile>>>;
  readonly exchanges: Readonly<Record<string, readonly { readonly command: string; readonly answer: string }[]>>;
}

/** A Java Card with a layout from elsewhere: see the "source" of the file. */
export const RECORDING = JSON.parse(
  readFileSync(new URL("../../fixtures/pkcs15-java-card.json", import.meta.url), "utf8"),
) as Recording;

/** The recorded card; it answers the recorded uses of its keys, and to nothing else. */
export function recordedCard(): FileCard {
  const card = new FileCard(RECORDING);
  for (const { command, answer } of Object.values(RECORDING.exchanges).flat())
    card.script.set(withoutLe(command), answer);
  return card;
}

/** A card in a reader of this process. */
export async function insert(card: InProcessCard): Promise<Card> {
  const readers = new MemoryReaders();
  readers.plug(READER);
  readers.insert(READER, card);
  return new Card(await readers.client({ patience: 200 }).connect(READER));
}
