import { wipe } from "../../bytes/index.ts";
import { COMMAND, HEADER_SIZE, MAX_PAYLOAD, requestFrame, TRANSMIT } from "./messages.ts";

/** A short command APDU: header, Lc, 255 bytes, Le. */
const USUAL_COMMAND = 4 + 1 + 255 + 1;
const PAYLOAD_OFFSET = HEADER_SIZE + TRANSMIT.size;
/** SCARD_IO_REQUEST of libpcsclite on 64-bit systems; pcscd echoes it and looks no further. */
const PCI_LENGTH = 16;

/** The TRANSMIT request of one connection, used again for every command: only the command and its length change. */
export class TransmitFrame {
  readonly #card: number;
  readonly #protocol: number;
  #bytes: Uint8Array;

  constructor(card: number, protocol: number) {
    this.#card = card;
    this.#protocol = protocol;
    this.#bytes = this.#build(USUAL_COMMAND);
  }

  /** The request that sends `command`, until the next call. */
  with(command: Uint8Array): Uint8Array {
    const end = PAYLOAD_OFFSET + command.length;
    if (this.#bytes.length < end) this.#bytes = this.#build(command.length);
    TRANSMIT.encodeInto(this.#bytes, HEADER_SIZE, { sendLength: command.length });
    this.#bytes.set(command, PAYLOAD_OFFSET);
    return this.#bytes.subarray(0, end);
  }

  /** Forgets the command, which may hold a PIN. */
  wipe(): void {
    wipe(this.#bytes.subarray(PAYLOAD_OFFSET));
  }

  #build(payload: number): Uint8Array {
    const values = {
      card: this.#card,
      sendProtocol: this.#protocol,
      sendPciLength: PCI_LENGTH,
      receiveProtocol: this.#protocol,
      receivePciLength: PCI_LENGTH,
      receiveLength: MAX_PAYLOAD,
    };
    return requestFrame(COMMAND.TRANSMIT, TRANSMIT, values, payload);
  }
}
