import { Module } from '@nestjs/common';
import { ContentModule, ContentStoreModule, IntegrityFindingsModule } from './content.module.js';
import { ContentComparisonService } from './content-comparison.service.js';
import { LostVariantsService } from './lost-variants.service.js';
import { OrphanFindingsService } from './orphan-findings.service.js';
import { OrphanRemovalService } from './orphan-removal.service.js';
import { OrphansRepository } from './orphans.repository.js';

/** Comparison of the content bucket with the rows of stored objects, and findings about orphans. Needs `MetricsModule`. */
@Module({
  imports: [ContentModule, ContentStoreModule, IntegrityFindingsModule],
  providers: [
    ContentComparisonService,
    LostVariantsService,
    OrphanFindingsService,
    OrphanRemovalService,
    OrphansRepository,
  ],
  exports: [ContentComparisonService, LostVariantsService, OrphanFindingsService],
})
export class ContentComparisonModule {}
