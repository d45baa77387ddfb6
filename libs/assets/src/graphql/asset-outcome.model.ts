import { Field, Int, ObjectType } from '@nestjs/graphql';
import { ERROR_KINDS, StowageError } from '#libs/domain';
import { MaxItems, pathInBatch } from '#libs/graphql';
import type { AssetOutcome } from '../asset-updates.service.js';
import { AssetModel } from './asset.model.js';

@ObjectType('AssetOutcome', {
  description: 'Outcome of one item of a batch: the asset, or an error with code, reason and message.',
})
export class AssetOutcomeModel {
  @Field(() => Int, { description: 'Index of the item in the argument, from 0.' })
  index: number;

  @Field(() => AssetModel, { nullable: true, description: 'The asset after the call; null for an error.' })
  asset: AssetModel | null = null;

  @Field(() => String, {
    nullable: true,
    description: 'As in errors[].extensions.code; null if the item succeeded.',
  })
  code: string | null = null;

  @Field(() => String, {
    nullable: true,
    description: 'As in errors[].extensions.reason; null if the item succeeded.',
  })
  reason: string | null = null;

  @Field(() => String, {
    nullable: true,
    description: 'Explanation of the error for people; null if the item succeeded.',
  })
  message: string | null = null;

  // Argument, index, and the nesting of fields and lists in an input.
  @MaxItems(8)
  @Field(() => [String], {
    nullable: true,
    description:
      'As in errors[].extensions.path, its indexes as text: ["inputs", "1", "filename"]; null when the error concerns no part of ' +
      'the input, and if the item succeeded.',
  })
  path: string[] | null = null;

  constructor(index: number, outcome: AssetOutcome) {
    this.index = index;
    if (!(outcome instanceof StowageError)) {
      this.asset = new AssetModel(outcome);
      return;
    }
    const { kind, reason, message, inputPath } = outcome;
    const path = inputPath ? pathInBatch(index, inputPath) : null;
    Object.assign(this, { code: ERROR_KINDS[kind].graphql, reason, message, path });
  }
}
