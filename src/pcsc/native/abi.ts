/**
 * The binary interface of each system's PC/SC library: what its headers declare. `winscard.h` and `winsmcrd.h` of Windows, `winscard.h`,
 * `pcsclite.h` and `wintypes.h` of Apple's PCSC.framework and of pcsc-lite.
 */

/** Types as koffi names them, and the layout of the two structures. */
export interface Abi {
  /** Names of the library, in the order to try. */
  readonly libraries: readonly string[];
  /** Unsigned numbers: DWORD. */
  readonly word: "ulong" | "uint32";
  /** Bytes of a word. */
  readonly wordSize: 4 | 8;
  /** Results: LONG. */
  readonly result: "long" | "int32";
  /** SCARDCONTEXT and SCARDHANDLE. */
  readonly handle: "long" | "int32" | "uintptr";
  /** Bytes of a handle. */
  readonly handleSize: 4 | 8;
  /** Texts are UTF-16LE and not UTF-8. */
  readonly wide: boolean;
  /** The library's names of functions that differ from the standard's. */
  readonly names: Readonly<Record<string, string>>;
  readonly readerState: ReaderStateLayout;
  /** SCARD_IO_REQUEST: protocol, then the structure's own size; bytes in all. */
  readonly ioRequestSize: number;
  /** SCARD_PROTOCOL_RAW. */
  readonly raw: number;
  /** The control code that pcsc-lite calls `0x42000000 + n`. */
  readonly controlCode: (code: number) => number;
  /** Whether SCardGetStatusChange tells of new readers ("\\?PnP?\Notification"). */
  readonly tellsOfReaders: boolean;
}

/** Offsets in SCARD_READERSTATE, in bytes. */
interface ReaderStateLayout {
  readonly size: number;
  readonly name: number;
  readonly currentState: number;
  readonly eventState: number;
  readonly atrLength: number;
  readonly atr: number;
  /** Bytes of a pointer. */
  readonly pointerSize: 4 | 8;
}

/** MAX_ATR_SIZE of pcsc-lite and Apple. */
const ATR_SIZE = 33;
/** The same in Windows: a multiple of four. */
const WINDOWS_ATR_SIZE = 36;

const WIDE_NAMES = {
  SCardConnect: "SCardConnectW",
  SCardGetStatusChange: "SCardGetStatusChangeW",
  SCardListReaders: "SCardListReadersW",
  SCardStatus: "SCardStatusW",
} as const;

/** Of pcsc-lite: SCARD_CTL_CODE. */
const CONTROL_BASE = 0x42000000;

/**
 * The interface of the PC/SC library of a system.
 * @param platform As in `process.platform`.
 * @param pointerSize Bytes of a pointer.
 */
export function abiOf(platform: string, pointerSize: 4 | 8): Abi {
  if (platform === "win32") return windows(pointerSize);
  return platform === "darwin" ? macos(pointerSize) : pcscLite(pointerSize);
}

/** DWORD and LONG are 32 bits wide, SCARDCONTEXT and SCARDHANDLE are ULONG_PTR; structures are aligned. */
function windows(pointerSize: 4 | 8): Abi {
  return {
    libraries: ["winscard.dll"],
    word: "uint32",
    wordSize: 4,
    result: "int32",
    handle: "uintptr",
    handleSize: pointerSize,
    wide: true,
    names: WIDE_NAMES,
    readerState: layOut({ pointerSize, wordSize: 4, atrSize: WINDOWS_ATR_SIZE, packed: false }),
    ioRequestSize: 8,
    raw: 0x1_0000,
    // FILE_DEVICE_SMARTCARD, METHOD_BUFFERED, FILE_ANY_ACCESS (winsmcrd.h, SCARD_CTL_CODE).
    controlCode: (code) => (isPcscLiteCode(code) ? (0x31 << 16) | ((code - CONTROL_BASE) << 2) : code),
    tellsOfReaders: true,
  };
}

/** All numbers are 32 bits wide, and structures are packed (pcsclite.h, `#pragma pack(1)`). */
function macos(pointerSize: 4 | 8): Abi {
  return {
    libraries: ["/System/Library/Frameworks/PCSC.framework/PCSC"],
    word: "uint32",
    wordSize: 4,
    result: "int32",
    handle: "int32",
    handleSize: 4,
    wide: false,
    // The function of the old name has other parameters.
    names: { SCardControl: "SCardControl132" },
    readerState: layOut({ pointerSize, wordSize: 4, atrSize: ATR_SIZE, packed: true }),
    ioRequestSize: 8,
    raw: 4,
    controlCode: (code) => code,
    tellsOfReaders: false,
  };
}

/** DWORD is `unsigned long` and LONG is `long`, as wide as a pointer (wintypes.h). */
function pcscLite(pointerSize: 4 | 8): Abi {
  return {
    libraries: ["libpcsclite.so.1", "libpcsclite.so"],
    word: "ulong",
    wordSize: pointerSize,
    result: "long",
    handle: "long",
    handleSize: pointerSize,
    wide: false,
    names: {},
    readerState: layOut({ pointerSize, wordSize: pointerSize, atrSize: ATR_SIZE, packed: false }),
    ioRequestSize: 2 * pointerSize,
    raw: 4,
    controlCode: (code) => code,
    tellsOfReaders: true,
  };
}

const isPcscLiteCode = (code: number): boolean => code >= CONTROL_BASE && code < CONTROL_BASE + 0x4000;

interface Widths {
  readonly pointerSize: 4 | 8;
  readonly wordSize: 4 | 8;
  readonly atrSize: number;
  readonly packed: boolean;
}

/** Two pointers (szReader, pvUserData), three words (dwCurrentState, dwEventState, cbAtr), and the answer to reset. */
function layOut({ pointerSize, wordSize, atrSize, packed }: Widths): ReaderStateLayout {
  const words = 2 * pointerSize;
  const atr = words + 3 * wordSize;
  const end = atr + atrSize;
  const alignment = packed ? 1 : Math.max(pointerSize, wordSize);
  return {
    size: Math.ceil(end / alignment) * alignment,
    name: 0,
    currentState: words,
    eventState: words + wordSize,
    atrLength: words + 2 * wordSize,
    atr,
    pointerSize,
  };
}

/** The state of one reader, as SCardGetStatusChange gives it. */
export interface NativeState {
  /** Bits of SCARD_STATE, and above them the number of insertions and removals. */
  readonly flags: number;
  readonly atr: Uint8Array;
}

/** An array of SCARD_READERSTATE in memory. */
export class ReaderStates {
  readonly memory: Uint8Array;
  readonly #view: DataView;
  readonly #abi: Abi;
  readonly #names: readonly Uint8Array[];

  /**
   * @param names Texts of the library, which end with a zero; they stay in memory as long as this object.
   * @param address Tells where in memory a text is.
   */
  constructor(abi: Abi, names: readonly Uint8Array[], address: (text: Uint8Array) => bigint) {
    const buffer = new ArrayBuffer(names.length * abi.readerState.size);
    this.memory = new Uint8Array(buffer);
    this.#view = new DataView(buffer);
    this.#abi = abi;
    this.#names = names;
    for (const [index, name] of names.entries()) {
      const at = index * abi.readerState.size + abi.readerState.name;
      writeNumber(this.#view, at, abi.readerState.pointerSize, address(name));
    }
  }

  get length(): number {
    return this.#names.length;
  }

  /** Sets the state that the caller knows: SCardGetStatusChange waits for another one. 0 (UNAWARE): any. */
  expect(index: number, flags: number): void {
    const { size, currentState } = this.#abi.readerState;
    writeNumber(this.#view, index * size + currentState, this.#abi.wordSize, BigInt(flags >>> 0));
  }

  /** What the last call found. */
  found(index: number): NativeState {
    const { size, eventState, atrLength, atr } = this.#abi.readerState;
    const start = index * size;
    const flags = readNumber(this.#view, start + eventState, this.#abi.wordSize) >>> 0;
    const length = Math.min(readNumber(this.#view, start + atrLength, this.#abi.wordSize), ATR_SIZE);
    return { flags, atr: this.memory.slice(start + atr, start + atr + length) };
  }
}

const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** A number as the library has it in memory. */
export function readNumber(view: DataView, offset: number, size: 4 | 8): number {
  return size === 4 ? view.getUint32(offset, LITTLE_ENDIAN) : Number(view.getBigInt64(offset, LITTLE_ENDIAN));
}

export function writeNumber(view: DataView, offset: number, size: 4 | 8, value: bigint): void {
  if (size === 4) view.setUint32(offset, Number(BigInt.asUintN(32, value)), LITTLE_ENDIAN);
  else view.setBigInt64(offset, BigInt.asIntN(64, value), LITTLE_ENDIAN);
}

/** A text as the library takes it, with the zero at its end. */
export function encodeText(abi: Abi, text: string): Uint8Array {
  if (!abi.wide) return new TextEncoder().encode(`${text}\0`);
  const bytes = new Uint8Array(2 * text.length + 2);
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    bytes[2 * index] = unit & 0xff;
    bytes[2 * index + 1] = unit >>> 8;
  }
  return bytes;
}

/** The texts of a list in which each ends with a zero, and the list with one more. */
export function decodeTexts(abi: Abi, bytes: Uint8Array): string[] {
  const text = new TextDecoder(abi.wide ? "utf-16le" : "utf-8").decode(bytes);
  const end = text.indexOf("\0\0");
  return (end < 0 ? text : text.slice(0, end)).split("\0").filter((name) => name !== "");
}
