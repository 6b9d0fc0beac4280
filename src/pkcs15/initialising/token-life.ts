import { StatusError, SW } from "../../apdu/index.ts";
import { wipe } from "../../bytes/index.ts";
import type { CardToken } from "../../card/index.ts";
import type { Pkcs15Application } from "../application.ts";
import type { Dialect } from "../dialect.ts";
import type { CardSession } from "../files/card-session.ts";
import { PIN_FLAG, type PinEntry } from "../syntax/authentication.ts";

type TokenMethods = Pick<CardToken, "pukIsOfficer" | "initToken" | "resetToken" | "initPin">;

/** What a token of this make can do with its beginning and end. @param puk Of the user's PIN, if the token has one. */
export function lifeOf(application: Pkcs15Application, puk: PinEntry | undefined): TokenMethods {
  const { life } = application.dialect;
  if (!life) return {};
  const { card } = application.session;
  const { setUser, encodeUser, resetToken } = life;
  const pukIsOfficer = life.officer.flags.has(PIN_FLAG.UNBLOCKING) && !application.pins.officer && puk !== undefined;
  return {
    pukIsOfficer,
    initToken: (soPin, label, variables, options) => life.initToken(card, soPin, label, variables, options),
    ...(resetToken && { resetToken: (pin, _variables, options) => resetToken(card, pin, options) }),
    ...(setUser &&
      encodeUser &&
      !pukIsOfficer && {
        initPin: async (newPin, options) => {
          const pin = encodeUser(newPin);
          try {
            const { variables = new Map<string, string>() } = options ?? {};
            await application.session.run(
              (turn) => setUser((command) => turn.send(command), pin, application.officer.characters, variables),
              options,
            );
            application.officer.forget();
          } finally {
            wipe(pin);
          }
        },
      }),
  };
}

/**
 * The answer to RESET RETRY COUNTER of a card that has no PIN yet: it gets its first one.
 * @throws `error`, if it is another answer, or cards of the make set no PIN.
 */
export async function setFirstPin(
  { life }: Dialect,
  turn: CardSession,
  error: unknown,
  [pin, puk]: readonly [Uint8Array, Uint8Array],
): Promise<void> {
  const hasNone = error instanceof StatusError && error.sw === SW.COMMAND_NOT_ALLOWED;
  if (!hasNone || !life?.setUser) throw error;
  await life.setUser((command) => turn.send(command), pin, puk, new Map());
}
