import { createPublicKey, type KeyObject } from "node:crypto";
import { utf8 } from "../../src/bytes/index.ts";
import { CKA, CKC, CKF, CKK, CKM, CKO, CKU, CryptokiError, type Template } from "../../src/cryptoki/index.ts";
import type { Caller } from "./caller.ts";
import type { Subject, SweptCard, TestedKey } from "./subject.ts";

/** What a piece of work is done with. */
interface Place {
  readonly caller: Caller;
  readonly subject: Subject;
  readonly card: SweptCard;
}

/** Does its work, and says how it went. */
type Step = () => Promise<string>;

/** A piece of work in which one exchange goes wrong. */
export interface Work {
  readonly name: string;
  /** PIN tries that it spends. */
  readonly spends?: number;
  /** It changes the card. */
  readonly writes?: true;
  /** A part of the result, in lines, is right too: C_GetSlotList lets no card hide others, and C_GetTokenInfo says what fails. */
  readonly partly?: true;
  /** Without faults as far as to the work itself. */
  prepare(place: Place): Promise<Step>;
}

/** The PIN of a card that has been through the work that changes it. */
const NEW_PIN = "765432";
const WRONG_PIN = "999999";

const atOnce = (name: string, step: (place: Place) => Promise<string>): Work => ({
  name,
  prepare: (place) => Promise.resolve(() => step(place)),
});

/** As it is for a user who has logged in. */
function afterLogin(name: string, step: (place: Place) => Promise<string>): Work {
  return {
    name,
    async prepare(place) {
      await place.caller.login(place.card.pin());
      return () => step(place);
    },
  };
}

export const LIST: Work = { ...atOnce("list tokens", ({ caller }) => caller.tokens()), partly: true };

export const TOKEN_INFO: Work = {
  name: "token info and PIN status",
  async prepare({ caller }) {
    const slot = await caller.slot();
    return async () => {
      const { label, flags } = await caller.cryptoki.C_GetTokenInfo(slot, { signal: caller.signal });
      const bad = CKF.USER_PIN_COUNT_LOW | CKF.USER_PIN_FINAL_TRY | CKF.USER_PIN_LOCKED;
      return `${label} ${flags & bad}`;
    };
  },
};

export const SEARCH: Work = {
  name: "search",
  async prepare({ caller }) {
    await caller.session();
    return async () => (await caller.objects()).join("\n");
  },
};

export const SEARCH_LOGGED_IN = afterLogin("search after login", async ({ caller }) =>
  (await caller.objects()).join("\n"),
);

export const CERTIFICATES: Work = {
  name: "read certificates",
  async prepare({ caller }) {
    await caller.session();
    return () => caller.certificates();
  },
};

export const DATA: Work = {
  name: "read data",
  async prepare({ caller }) {
    const session = await caller.session();
    return async () => {
      const sizes: number[] = [];
      for (const handle of await caller.find({ [CKA.CLASS]: CKO.DATA, [CKA.PRIVATE]: false })) {
        const { [CKA.VALUE]: value } = await caller.cryptoki.C_GetAttributeValue(session, handle, [CKA.VALUE], {
          signal: caller.signal,
        });
        sizes.push(value.length);
      }
      return sizes.join(" ");
    };
  },
};

export const LOGIN: Work = {
  name: "login",
  async prepare({ caller, card }) {
    await caller.session();
    return async () => {
      await caller.login(card.pin());
      return "logged in";
    };
  },
};

export const COLD_LOGIN = atOnce("login, from the beginning", async ({ caller, card }) => {
  await caller.login(card.pin());
  return "logged in";
});

export const WRONG_LOGIN: Work = {
  name: "login with a wrong PIN",
  spends: 1,
  async prepare({ caller }) {
    await caller.session();
    return async () => {
      try {
        await caller.login(WRONG_PIN);
        return "logged in";
      } catch (error) {
        if (error instanceof CryptokiError && error.code === "CKR_PIN_INCORRECT") return "refused";
        throw error;
      }
    };
  },
};

export const LOGOUT = afterLogin("logout", async ({ caller }) => {
  await caller.cryptoki.C_Logout(await caller.session());
  return "logged out";
});

/** From a key that was found to its result. */
const keyWork = (
  name: string,
  pick: (subject: Subject) => TestedKey | undefined,
  use: (caller: Caller, key: TestedKey, handle: number) => Promise<string>,
): Work => ({
  name,
  async prepare({ caller, subject, card }) {
    const key = pick(subject);
    if (!key) throw new Error(`no key to ${name}`);
    await caller.login(card.pin());
    const handle = await caller.privateKey(key);
    return () => use(caller, key, handle);
  },
});

export const SIGN_RSA = keyWork(
  "sign, RSA",
  ({ keys }) => keys.sign[0],
  (caller, key, handle) => caller.sign(key, handle),
);
export const SIGN_EC = keyWork(
  "sign, EC",
  ({ keys }) => keys.sign[1],
  (caller, key, handle) => caller.sign(key, handle),
);
export const DECRYPT = keyWork(
  "decrypt",
  ({ keys }) => keys.decrypt,
  (caller, key, handle) => caller.decrypt(key, handle),
);
export const DERIVE = keyWork(
  "derive",
  ({ keys }) => keys.derive,
  (caller, key, handle) => caller.derive(key, handle),
);

export const COLD_SIGN = atOnce("sign, from the beginning", async ({ caller, card, subject }) => {
  await caller.login(card.pin());
  const [key] = subject.keys.sign;
  if (!key) throw new Error("no key to sign");
  return caller.sign(key);
});

export const CHANGE_PIN: Work = {
  name: "change PIN",
  writes: true,
  async prepare({ caller, card }) {
    const session = await caller.session();
    return async () => {
      await caller.cryptoki.C_SetPIN(session, card.pin(), NEW_PIN, { signal: caller.signal });
      return "changed";
    };
  },
};

/** What changes the card, logged in as the card wants it. */
function writing(name: string, step: (place: Place, session: number) => Promise<Step>): Work {
  return {
    name,
    writes: true,
    async prepare(place) {
      const { caller, subject, card } = place;
      const session = await caller.session();
      const officer = subject.officerPin;
      await caller.cryptoki.C_Login(session, officer ? CKU.SO : CKU.USER, officer ?? card.pin(), {
        signal: caller.signal,
      });
      return step(place, session);
    },
  };
}

const P256 = Buffer.from("06082a8648ce3d030107", "hex");

/** An EC key pair on the card; made, it is used at once. */
export const generate = (id: Uint8Array): Work =>
  writing("generate", ({ caller }, session) =>
    Promise.resolve(async () => {
      await caller.cryptoki.C_GenerateKeyPair(
        session,
        { mechanism: CKM.EC_KEY_PAIR_GEN },
        { [CKA.TOKEN]: true, [CKA.VERIFY]: true, [CKA.EC_PARAMS]: P256, [CKA.ID]: id },
        { [CKA.TOKEN]: true, [CKA.PRIVATE]: true, [CKA.SIGN]: true, [CKA.LABEL]: "made", [CKA.ID]: id },
        { signal: caller.signal },
      );
      return "generated";
    }),
  );

/** A private key that is brought to the card. */
export const importKey = (key: KeyObject): Work =>
  writing("import a key", ({ caller }, session) =>
    Promise.resolve(async () => {
      await caller.cryptoki.C_CreateObject(session, keyTemplate(key), { signal: caller.signal });
      return "imported";
    }),
  );

function keyTemplate(key: KeyObject): Template {
  const { d = "", kty } = key.export({ format: "jwk" });
  if (kty !== "EC" || createPublicKey(key).asymmetricKeyDetails?.namedCurve !== "prime256v1")
    throw new Error("not P-256");
  return {
    [CKA.CLASS]: CKO.PRIVATE_KEY,
    [CKA.TOKEN]: true,
    [CKA.PRIVATE]: true,
    [CKA.SENSITIVE]: true,
    [CKA.SIGN]: true,
    [CKA.LABEL]: "brought",
    [CKA.ID]: Uint8Array.of(0x77),
    [CKA.KEY_TYPE]: CKK.EC,
    [CKA.EC_PARAMS]: P256,
    [CKA.VALUE]: Buffer.from(d, "base64url"),
  };
}

/** The certificate with CKA_ID `from` is written once more, with CKA_ID `to`. */
export const importCertificate = (from: Uint8Array, to: Uint8Array): Work =>
  writing("import a certificate", async ({ caller }, session) => {
    const source = await caller.handle(CKO.CERTIFICATE, from);
    const copied = await caller.cryptoki.C_GetAttributeValue(session, source, [CKA.VALUE, CKA.SUBJECT]);
    const template = {
      [CKA.CLASS]: CKO.CERTIFICATE,
      [CKA.CERTIFICATE_TYPE]: CKC.X_509,
      [CKA.TOKEN]: true,
      [CKA.ID]: to,
      ...copied,
    };
    return async () => {
      await caller.cryptoki.C_CreateObject(session, template, { signal: caller.signal });
      return "imported";
    };
  });

export const IMPORT_DATA = writing("import data", ({ caller }, session) =>
  Promise.resolve(async () => {
    const template = {
      [CKA.CLASS]: CKO.DATA,
      [CKA.TOKEN]: true,
      [CKA.PRIVATE]: false,
      [CKA.LABEL]: "Security Object",
      [CKA.APPLICATION]: "PIV",
      [CKA.VALUE]: utf8("data for the card"),
    };
    await caller.cryptoki.C_CreateObject(session, template, { signal: caller.signal });
    return "imported";
  }),
);

/** The certificate with this CKA_ID leaves the card. */
export const deleteCertificate = (id: Uint8Array): Work =>
  writing("delete", async ({ caller }, session) => {
    const handle = await caller.handle(CKO.CERTIFICATE, id);
    return async () => {
      await caller.cryptoki.C_DestroyObject(session, handle, { signal: caller.signal });
      return "deleted";
    };
  });

export const relabel = (id: Uint8Array): Work =>
  writing("change a label", async ({ caller }, session) => {
    const handle = await caller.handle(CKO.CERTIFICATE, id);
    return async () => {
      await caller.cryptoki.C_SetAttributeValue(
        session,
        handle,
        { [CKA.LABEL]: "another label" },
        { signal: caller.signal },
      );
      return "changed";
    };
  });
