import { Args, ResolveField, Resolver } from '@nestjs/graphql';
import { connectionOf, cursorsOf, ForwardPageArgs, parsePage } from '#libs/graphql';
import { AdminModel } from '#libs/identity/graphql';
import { IntegrityFindingsService } from '../integrity-findings.service.js';
import { IntegrityFindingConnectionModel, IntegrityFindingModel } from './integrity-finding.model.js';

const CURSORS = cursorsOf('integrity findings', { id: 'bigint' });

@Resolver(() => AdminModel)
export class IntegrityFindingsResolver {
  constructor(private readonly findings: IntegrityFindingsService) {}

  @ResolveField(() => IntegrityFindingConnectionModel, {
    name: 'integrityFindings',
    description: 'Findings of the integrity tasks, newest first, also those that are repaired.',
  })
  async list(@Args() args: ForwardPageArgs): Promise<IntegrityFindingConnectionModel> {
    const page = parsePage(args);
    const before = CURSORS.positionOf(page)?.id;
    const findings = await this.findings.list(before, page.size + 1);
    return connectionOf(findings, page, CURSORS.encode, (finding) => new IntegrityFindingModel(finding));
  }
}
