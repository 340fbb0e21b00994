/**
 * Our verdicts beside those of Git.
 *
 * @module
 */
import { verifyCommit, verifyTag } from "../../src/gitops/signature.ts";
import type { Signers } from "../../src/gitops/signers.ts";
import type { Verdict } from "../../src/gitops/verdict.ts";
import type { SignedObject, SignedObjects } from "./signed_objects.ts";

/** Our verdict. */
export function judge({ type, object }: SignedObject, by: Signers, now: Date): Promise<Verdict> {
  return type === "commit" ? verifyCommit(object, by, now) : verifyTag(object, by, now);
}

/** Where the verdicts aren't those of Git, or not stricter where they are said to be. */
export async function differences(objects: SignedObjects, by: Signers): Promise<string[]> {
  const found: string[] = [];
  for (const each of objects.objects) {
    const verdict = await judge(each, by, objects.now);
    const isRight = each.differs === null
      ? (verdict.state === "good") === each.isGoodForGit
      : verdict.state === "refused";
    if (!isRight) found.push(`${each.name}: ${JSON.stringify(verdict)}, for Git ${each.isGoodForGit}`);
  }
  return found;
}
