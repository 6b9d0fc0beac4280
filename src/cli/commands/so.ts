import { type Command, Option } from "commander";
import { wipe } from "../../bytes/index.ts";
import type { OfficerKeyAlgorithm } from "../../card/index.ts";
import { CKU } from "../../cryptoki/index.ts";
import { action, type CommandContext } from "../context.ts";
import { administeredToken, logInOfficer, requireMethod } from "../input/card-administration.ts";
import { isWellKnownKey, warn } from "../input/officer.ts";
import { examples } from "../input/options.ts";
import { PIN, readNewPin, readPin, secret } from "../input/pin.ts";
import { chooseToken } from "../input/token.ts";
import { type Environment, visible } from "../output/printer.ts";
import { NEW_SO_PIN, SO_PIN, TokenSession } from "../session.ts";

interface ChangeOptions {
  readonly protect?: true;
  readonly algorithm?: OfficerKeyAlgorithm;
  readonly soPinSource?: string;
  readonly newSoPinSource?: string;
}

export function addSo(program: Command, environment: Environment): void {
  const so = program
    .command("so")
    .summary("change the SO PIN or management key")
    .description("The security officer of a card: its SO PIN, or a PIV card's management key.");
  addSoChange(so, environment);
}

function addSoChange(so: Command, environment: Environment): void {
  const command = so
    .command("change")
    .summary("give a card another SO PIN or management key")
    .description(
      "Change the SO PIN of a card, or the management key of a YubiKey: 32, 48 or 64 hexadecimal digits (AES-128, AES-192 or, where the old " +
        "key is one, 3DES, and AES-256). Without it nothing on the card can be changed: keep it. With --protect the card keeps it too, and its " +
        "PIN serves wherever a management key is asked for, as with ykman. Where the present key is kept so, or is derived from the PIN, the PIN " +
        "is the old one.",
    )
    .argument("[uri]", "a PKCS #11 URI of the token")
    .option(
      "--so-pin-source <source>",
      `where the old one comes from, as --pin-source; default: ${SO_PIN.variable}, or a prompt`,
    )
    .option(
      "--new-so-pin-source <source>",
      `where the new one comes from, as --pin-source; default: ${NEW_SO_PIN.variable}, or a prompt`,
    )
    .option(
      "--protect",
      "keep the management key of a YubiKey on the card, where the PIN opens it; a random one, without --new-so-pin-source",
    )
    .addOption(
      new Option("--algorithm <name>", "of a management key; default: by its length, for a random one aes-256").choices(
        ALGORITHMS,
      ),
    )
    .addHelpText(
      "after",
      examples(
        ["cryptoki so change", "asks for the old one, and twice for the new one"],
        ["openssl rand -hex 32 > key && cryptoki so change --new-so-pin-source file:key", "a random management key"],
        ["cryptoki so change --protect", "a random management key, which the PIN opens"],
      ),
    );
  action<ChangeOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    if (options.protect || options.algorithm) {
      await setKey(context, options, uri);
      return;
    }
    const token = await chooseToken(context, uri);
    const { cryptoki, handle } = await TokenSession.open(context, token, uri);
    const name = visible(token.label);
    const question = `SO PIN or management key of ${name}`;
    const old = await readPin(secret(SO_PIN, question, options.soPinSource), context.environment);
    try {
      const fresh = await readNewPin(
        secret(NEW_SO_PIN, `New ${question}`, options.newSoPinSource),
        context.environment,
      );
      try {
        await cryptoki.C_Login(handle, CKU.SO, old);
        await cryptoki.C_SetPIN(handle, old, fresh);
        if (isWellKnownKey(fresh)) warn(context, "the new management key is the one that every new card has");
      } finally {
        wipe(fresh);
      }
    } finally {
      wipe(old);
    }
    context.print.done(`The SO PIN or management key of ${name} is changed.`, { token: token.label, changed: true });
  });
}

const ALGORITHMS: readonly OfficerKeyAlgorithm[] = ["3des", "aes-128", "aes-192", "aes-256"];

/** Sets a management key with what PKCS #11 has no function for: its algorithm, and whether the PIN opens it. */
async function setKey(context: CommandContext, options: ChangeOptions, uri?: string): Promise<void> {
  const { environment, signal } = context;
  const { protect: protectedByPin = false, algorithm } = options;
  const { token, run } = await administeredToken(context, uri);
  const name = visible(token.label);
  const isRandom =
    protectedByPin && options.newSoPinSource === undefined && environment.env[NEW_SO_PIN.variable] === undefined;
  await run(async (cardToken) => {
    const set = requireMethod(cardToken, "setOfficerKey", "have a management key that can be set so");
    if (protectedByPin) {
      const pin = await readPin(secret(PIN, `PIN of ${name}`, context.options.pinSource), environment);
      await cardToken.login("user", pin, { signal }).finally(() => {
        wipe(pin);
      });
    }
    await logInOfficer(context, token, cardToken, options);
    const question = secret(NEW_SO_PIN, `New management key of ${name}`, options.newSoPinSource);
    const { randomKey } = await import("../../setup/index.ts");
    const key = isRandom ? randomKey(algorithm ?? "aes-256") : await readNewPin(question, environment);
    const chosen = algorithm ?? (isRandom ? "aes-256" : undefined);
    try {
      await set({ key, protectedByPin, ...(chosen && { algorithm: chosen }) }, { signal });
      if (isWellKnownKey(key)) warn(context, "the new management key is the one that every new card has");
    } finally {
      wipe(key);
    }
  });
  const where = protectedByPin ? "; the PIN opens it" : "";
  context.print.done(`The management key of ${name} is changed${where}.`, {
    token: token.label,
    changed: true,
    protected: protectedByPin,
  });
}
