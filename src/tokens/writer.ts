import { wipe } from "../bytes/index.ts";
import type { CK_SESSION_HANDLE } from "../cryptoki/index.ts";
import type { TokenAccess } from "./access.ts";
import { TokenError, wantsOfficer } from "./error.ts";

/** In whose name a token is changed. */
export interface Writer {
  /**
   * Runs `work`, which changes the token. It runs once more if the token wanted a login for its first step: until that step has succeeded it
   * changes nothing.
   */
  write<T>(work: (session: CK_SESSION_HANDLE) => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** Whether the user's PIN may be asked for. */
  readonly asksUser: boolean;
}

/** The user, who is asked for the PIN if the token wants it for the change. */
export class UserWriter implements Writer {
  readonly #access: TokenAccess;

  constructor(access: TokenAccess) {
    this.#access = access;
  }

  get asksUser(): boolean {
    return this.#access.login.canAsk;
  }

  write<T>(work: (session: CK_SESSION_HANDLE) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const access = this.#access;
    return access.asUser(async () => {
      try {
        return await access.inSession(work, signal);
      } catch (error) {
        if (!(error instanceof TokenError && error.is("CKR_USER_NOT_LOGGED_IN"))) throw error;
        if (wantsOfficer(error)) throw officerFirst(error);
        if (await access.run(() => access.login.isLoggedIn(), signal)) throw officerFirst(error);
        if (!access.login.canAsk) throw error;
      }
      const pin = await access.run(() => access.login.ensure(undefined, signal), signal);
      if (pin) wipe(pin);
      try {
        return await access.inSession(work, signal);
      } catch (error) {
        if (error instanceof TokenError && error.is("CKR_USER_NOT_LOGGED_IN")) throw officerFirst(error);
        throw error;
      }
    }, signal);
  }
}

function officerFirst(cause: TokenError): TokenError {
  const message =
    "only the security officer changes this token: use token.asOfficer() (on a PIV card with the management key)";
  return new TokenError(cause.code, message, { rv: cause.rv, cause });
}
