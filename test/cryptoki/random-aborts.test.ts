/**
 * Two applications share a card; one aborts its calls at random moments. Afterwards the next call of both succeeds, and no login is
 * lost. TEST_SEED replays a run, TEST_SHARE makes it shorter or longer.
 */
import { expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import {
  CKA,
  CKF,
  CKK,
  CKM,
  CKO,
  CKS,
  CKU,
  Cryptoki,
  CryptokiError,
  type CK_MECHANISM,
} from "../../src/cryptoki/index.ts";
import { profiles } from "../../src/index.ts";
import type { InProcessCard } from "../../src/pcsc/index.ts";
import { SeededRandom, shareOf, withSeed } from "../seeded-random.ts";
import { testCard, testPkcs15Card } from "../virtual/keys.ts";
import { first, PIN, rig, type Rig } from "./rig.ts";
import { turns } from "../until.ts";

const ABORTS = shareOf(300);
const DATA = utf8("data");

/** One application, logged in. */
class Party {
  readonly cryptoki: Cryptoki;
  readonly session: number;
  #key = 0;
  #public = 0;
  #mechanism: CK_MECHANISM = { mechanism: CKM.ECDSA_SHA256 };

  private constructor(cryptoki: Cryptoki, session: number) {
    this.cryptoki = cryptoki;
    this.session = session;
  }

  static async in(cryptoki: Cryptoki): Promise<Party> {
    const slot = first(await cryptoki.C_GetSlotList(true));
    const party = new Party(cryptoki, await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION | CKF.RW_SESSION));
    await party.login();
    return party;
  }

  async login(signal?: AbortSignal): Promise<void> {
    await this.cryptoki.C_Login(this.session, CKU.USER, PIN, { signal });
    await this.find();
  }

  async find(): Promise<void> {
    const wanted = { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.SIGN]: true, [CKA.ALWAYS_AUTHENTICATE]: false };
    this.#key = first(await this.search({ ...wanted, [CKA.PRIVATE]: true }));
    const read = await this.cryptoki.C_GetAttributeValue(this.session, this.#key, [CKA.ID, CKA.KEY_TYPE]);
    const mechanism = read[CKA.KEY_TYPE] === CKK.RSA ? CKM.SHA256_RSA_PKCS : CKM.ECDSA_SHA256;
    this.#mechanism = { mechanism };
    this.#public = first(await this.search({ [CKA.CLASS]: CKO.PUBLIC_KEY, [CKA.ID]: read[CKA.ID] }));
  }

  async search(wanted: Parameters<Cryptoki["C_FindObjectsInit"]>[1], signal?: AbortSignal): Promise<number[]> {
    await this.cryptoki.C_FindObjectsInit(this.session, wanted, { signal });
    try {
      return await this.cryptoki.C_FindObjects(this.session, Infinity, { signal });
    } finally {
      await this.cryptoki.C_FindObjectsFinal(this.session);
    }
  }

  async sign(signal?: AbortSignal): Promise<void> {
    const { cryptoki, session } = this;
    await cryptoki.C_SignInit(session, this.#mechanism, this.#key, { signal });
    try {
      const signature = await cryptoki.C_Sign(session, DATA, { signal });
      await cryptoki.C_VerifyInit(session, this.#mechanism, this.#public);
      await cryptoki.C_Verify(session, DATA, signature);
    } finally {
      // A signal that aborted before C_Sign had begun leaves the operation.
      await cryptoki.C_SignInit(session, null, 0);
    }
  }

  async isLoggedIn(): Promise<boolean> {
    return (await this.cryptoki.C_GetSessionInfo(this.session)).state === CKS.RW_USER_FUNCTIONS;
  }
}

type Step = (party: Party, signal: AbortSignal) => Promise<unknown>;

/** What is aborted. */
const STEPS: Readonly<Record<string, Step>> = {
  sign: (party, signal) => party.sign(signal),
  search: (party, signal) => party.search({}, signal),
  read: async ({ cryptoki, session }, signal) => {
    const [object = 0] = await cryptoki
      .C_FindObjectsInit(session, { [CKA.CLASS]: CKO.CERTIFICATE }, { signal })
      .then(() => cryptoki.C_FindObjects(session, 1, { signal }))
      .finally(() => cryptoki.C_FindObjectsFinal(session).catch(() => undefined));
    return cryptoki.C_GetAttributeValue(session, object, [CKA.VALUE], { signal });
  },
  "token info": ({ cryptoki }, signal) => cryptoki.C_GetTokenInfo(0, { signal }),
  logout: ({ cryptoki, session }, signal) => cryptoki.C_Logout(session, { signal }),
  login: async (party, signal) => {
    await party.cryptoki.C_Logout(party.session);
    await party.login(signal);
  },
  "change the PIN to itself": ({ cryptoki, session }, signal) => cryptoki.C_SetPIN(session, PIN, PIN, { signal }),
};

async function abortOften(made: Rig, random: SeededRandom): Promise<Record<string, number>> {
  made.before = () => turns(2 + random.below(4));
  await using second = new Cryptoki({ slots: made.cryptoki.slots });
  await second.C_Initialize();
  const [mine, other] = [await Party.in(made.cryptoki), await Party.in(second)];
  const names = Object.keys(STEPS);
  const counts: Record<string, number> = {};
  let aborted = 0;
  // Some calls are over before their signal aborts.
  for (let round = 0; aborted < ABORTS && round < 10 * ABORTS; round++) {
    const name = random.pick(names);
    const where = `seed ${random.seed}, round ${round}: ${name}`;
    const stop = new AbortController();
    const struck = STEPS[name]?.(mine, stop.signal).then(
      () => "CKR_OK",
      (error: unknown) => (error instanceof CryptokiError ? error.code : String(error)),
    );
    await turns(random.below(8));
    stop.abort();
    const outcome = (await struck) ?? "";
    if (outcome === "CKR_FUNCTION_CANCELED") aborted++;
    counts[outcome] = (counts[outcome] ?? 0) + 1;
    expect([where, await other.isLoggedIn()]).toEqual([where, true]);
    const parties = random.below(2) === 0 ? [mine, other] : [other, mine];
    for (const party of parties) {
      if (party === mine && name.includes("log") && !(await mine.isLoggedIn())) await mine.login();
      await party.sign().catch((error: unknown) => {
        throw new Error(`${where}: the next signature fails`, { cause: error });
      });
    }
  }
  return counts;
}

const CARDS: Readonly<Record<string, () => Promise<InProcessCard>>> = {
  PIV: () => testCard({ extended: true }),
  "PKCS #15": () => testPkcs15Card(),
};

test.each(Object.entries(CARDS))(
  "%s: after each abort both applications go on",
  async (_, makeCard) => {
    const random = new SeededRandom();
    await using made = await rig(await makeCard(), profiles);
    try {
      const counts = await abortOften(made, random);
      expect(Object.keys(counts).sort()).toEqual(["CKR_FUNCTION_CANCELED", "CKR_OK"]);
      expect(counts["CKR_FUNCTION_CANCELED"]).toBe(ABORTS);
    } catch (error) {
      throw withSeed(random, error);
    }
  },
  120_000,
);
