import type { Application } from "../application.ts";
import type { Template } from "../attributes/kinds.ts";
import { newObject } from "../attributes/new-object.ts";
import { setOrigin } from "../attributes/origin.ts";
import { type AttributeList, readTemplate } from "../attributes/template.ts";
import { keepObject } from "./keep.ts";

export function createObject(
  application: Application,
  handle: number,
  template: Template | AttributeList,
  signal?: AbortSignal,
): Promise<number> {
  return application.inSession(
    handle,
    (session) => {
      const given = readTemplate(template);
      const made = newObject(given, "create", application.logins.userOf(session.token));
      setOrigin(made, { from: "elsewhere" });
      return keepObject(application, session, made, given, signal);
    },
    signal,
  );
}
