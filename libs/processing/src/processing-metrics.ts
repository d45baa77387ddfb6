import { Injectable } from '@nestjs/common';
import { Counter, Histogram, Registry } from 'prom-client';
import { kindOf } from '#libs/domain';
import type { Verdict } from '#libs/scanner';
import { ReaderNeeded } from './reader-needed.js';

export type Stage = 'read' | 'store' | 'settle';
export type Outcome = 'ready' | 'rejected' | 'failed' | 'retried' | 'waiting' | 'moot';

const SECONDS = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 900];

/** Metrics of the processing pipeline: durations of its stages, outcomes, verdicts and bytes. */
@Injectable()
export class ProcessingMetrics {
  private readonly stages: Histogram<'stage' | 'outcome'>;
  private readonly results: Counter<'outcome'>;
  private readonly rejections: Counter<'code'>;
  private readonly verdicts: Counter<'outcome'>;
  private readonly featureReads: Counter<'reader' | 'outcome'>;
  private readonly bytes: Counter;
  private readonly ready: Histogram;

  constructor(registry: Registry) {
    const registers = [registry];
    this.stages = new Histogram({
      name: 'stowage_processing_stage_seconds',
      help: 'Duration of pipeline stages in seconds; outcome is ok or the kind of error',
      labelNames: ['stage', 'outcome'],
      buckets: SECONDS,
      registers,
    });
    this.results = new Counter({
      name: 'stowage_processing_results_total',
      help: 'Pipeline runs by outcome; moot means that the asset was changed by another process first',
      labelNames: ['outcome'],
      registers,
    });
    this.rejections = new Counter({
      name: 'stowage_processing_rejections_total',
      help: 'Rejected assets by the code of their status reason',
      labelNames: ['code'],
      registers,
    });
    this.verdicts = new Counter({
      name: 'stowage_scan_verdicts_total',
      help: 'Scanner verdicts on uploads and on rescanned stored objects',
      labelNames: ['outcome'],
      registers,
    });
    this.featureReads = new Counter({
      name: 'stowage_feature_reads_total',
      help: 'Files read by file readers of features; invalid means that some properties did not fit their declaration',
      labelNames: ['reader', 'outcome'],
      registers,
    });
    this.bytes = new Counter({
      name: 'stowage_processing_bytes_total',
      help: 'Bytes of assets that became READY',
      registers,
    });
    this.ready = new Histogram({
      name: 'stowage_processing_ready_seconds',
      help: 'Seconds from the start of the successful pipeline run to READY',
      buckets: SECONDS,
      registers,
    });
  }

  async time<T>(stage: Stage, work: () => Promise<T>): Promise<T> {
    const started = performance.now();
    const end = (outcome: string) =>
      this.stages.observe({ stage, outcome }, (performance.now() - started) / 1000);
    try {
      const result = await work();
      end('ok');
      return result;
    } catch (error) {
      end(error instanceof ReaderNeeded ? 'reader-needed' : kindOf(error));
      throw error;
    }
  }

  ended(outcome: Outcome): void {
    this.results.inc({ outcome });
  }

  scanned(outcome: Verdict['outcome']): void {
    this.verdicts.inc({ outcome });
  }

  readByFeature(reader: string, outcome: 'read' | 'invalid' | 'failed'): void {
    this.featureReads.inc({ reader, outcome });
  }

  rejected(code: string): void {
    this.ended('rejected');
    this.rejections.inc({ code });
  }

  becameReady(sizeBytes: number, seconds: number): void {
    this.ended('ready');
    this.bytes.inc(sizeBytes);
    this.ready.observe(seconds);
  }
}
