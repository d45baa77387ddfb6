import { Module } from '@nestjs/common';
import { ContentStore } from './content-store.js';
import { Processing } from './processing.service.js';

/** Needs the modules of `assets`, `jobs` and `database`, and a provider of the port `ObjectStore`. */
@Module({ providers: [ContentStore, Processing], exports: [Processing] })
export class ProcessingModule {}
