import type { CallOptions } from "../../async/index.ts";
import { SW } from "../../apdu/index.ts";
import {
  changingPin,
  type PinBlock,
  type PinPad,
  type PinPadReader,
  type PinRole,
  UnsupportedError,
} from "../../card/index.ts";
import type { Pkcs15Application } from "../application.ts";
import { changeReferenceData, resetRetryCounter, verify } from "../files/commands.ts";
import { pinBounds } from "./pin-encoding.ts";
import { enterForPin, pinFailure } from "./pins.ts";
import { PIN_FLAG, type PinEntry } from "../syntax/authentication.ts";

/** Reader formats by the PIN's type; digits in half bytes after F are not supported. */
const FORMAT: Readonly<Partial<Record<PinEntry["type"], PinBlock["format"]>>> = {
  "ascii-numeric": "ascii",
  utf8: "ascii",
  bcd: "bcd",
  "iso9564-1": "bcd",
};

/**
 * PINs typed on the reader.
 * @param requirePin Returns the PIN of a role; throws if the token has none.
 */
export function padOf(
  reader: PinPadReader,
  application: Pkcs15Application,
  requirePin: (role: PinRole) => PinEntry,
): PinPad | undefined {
  if (!blockOf(requirePin("user"))) return undefined;
  const { session } = application;
  return {
    async login(user, options) {
      const pin = requirePin(user);
      const block = requireBlock(pin);
      await session.run(async (turn) => {
        await enterForPin(session, turn, pin);
        const command = verify(pin.reference, emptyPin(pin));
        await application.present(pin, async () => {
          expect(pin, await reader.verify(command, block), command.ins);
        });
      }, options);
    },
    ...(reader.canModify && {
      async changePin(role: PinRole, options?: CallOptions) {
        const pin = requirePin(role);
        const block = requireBlock(pin);
        const empty = emptyPin(pin);
        const command = changeReferenceData(pin.reference, empty, empty);
        const places = { old: 0, fresh: empty.length, asksOld: true };
        await changingPin(session.card, "PIN", (changing) =>
          session.run(async (turn) => {
            await enterForPin(session, turn, pin);
            await changing(async () => {
              expect(pin, await reader.modify(command, block, places), command.ins);
            });
            application.changed(pin);
          }, options),
        );
      },
      async unlockPin(options?: CallOptions) {
        const [pin, puk] = [requirePin("user"), requirePin("puk")];
        const block = requireBlock(pin);
        // The reader formats both in the same way.
        if (requireBlock(puk).format !== block.format) throw cannotWrite();
        const command = resetRetryCounter(pin.reference, emptyPin(puk), emptyPin(pin));
        const places = { old: 0, fresh: emptyPin(puk).length, asksOld: true };
        await changingPin(session.card, "PIN", (changing) =>
          session.run(async (turn) => {
            await enterForPin(session, turn, pin);
            await changing(async () => {
              expect(puk, await reader.modify(command, block, places), command.ins);
            });
          }, options),
        );
      },
    }),
  };
}

function expect(pin: PinEntry, sw: number, ins: number): void {
  if (sw !== SW.OK) throw pinFailure(pin, sw, ins);
}

/** The bytes of the command where the reader writes the PIN: the padding, in the card's length. */
function emptyPin(pin: PinEntry): Uint8Array {
  if (pin.type === "iso9564-1") return Uint8Array.of(0x20, ...new Uint8Array(7).fill(0xff));
  if (!pin.flags.has(PIN_FLAG.NEEDS_PADDING)) return new Uint8Array();
  return new Uint8Array(pin.storedLength).fill(pin.padding ?? 0x00);
}

/** Digits in another format than the card's would cost a try. */
function requireBlock(pin: PinEntry): PinBlock {
  const block = blockOf(pin);
  if (!block) throw cannotWrite();
  return block;
}

const cannotWrite = (): UnsupportedError =>
  new UnsupportedError("the reader's keypad cannot format this PIN for the card");

function blockOf(pin: PinEntry): PinBlock | undefined {
  const format = FORMAT[pin.type];
  if (!format) return undefined;
  const { minLength, maxLength } = pinBounds(pin);
  return {
    format,
    size: emptyPin(pin).length,
    withLength: pin.type === "iso9564-1",
    minDigits: minLength,
    maxDigits: maxLength,
  };
}
