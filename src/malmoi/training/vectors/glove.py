"""What the rung glove makes of a text that is ready: counts, and vectors fitted to them."""

from typing import Any

from malmoi.clock import Clock
from malmoi.models.options.vectors import GloVeConfig
from malmoi.training.progress import StepReport
from malmoi.training.vectors.job import Job, Made
from malmoi.training.vectors.pairs import count_job, store_for

USUAL_EPOCHS, MOST_EPOCHS = 25, 100  # by the clock: reading the pairs still more often brings nothing


def learn_glove(job: Job) -> Made:
    """Count, then fit the vectors to the counts."""
    from malmoi.models.glove import N_GROUPS, GloVe, GloVeSettings, train_glove

    model: GloVeConfig = job.model
    settings, n_epochs = job.settings, job.epochs(USUAL_EPOCHS, MOST_EPOCHS)
    counting = Clock()
    options: Any = {name: getattr(model, name) for name in ("embed_dim", "x_max", "alpha")}
    options |= {"learning_rate": settings.learning_rate, "seed": settings.seed, "n_epochs": n_epochs}
    with store_for(job) as store:
        found = count_job(job, store)
        state = job.saved_state()
        resumed = None if state is None else GloVe.from_arrays(state, len(found.token_ids), model.embed_dim)
        seconds = None if job.seconds is None else max(0.1, job.seconds - counting.elapsed())
        n_pairs = int(found.counts.nnz)
        fitting = Clock(seconds, spent=0.0 if resumed is None else resumed.seconds)

        def tell(epochs: float, loss: float) -> None:
            lasted = max(fitting.elapsed(), 1e-9)
            done = min(max(epochs / n_epochs, fitting.share()), 1.0)
            speed, left = epochs * n_pairs / lasted, lasted * (1 - done) / done
            rate = settings.learning_rate
            job.reporter.trained(StepReport(round(N_GROUPS * epochs), done, loss, speed, left, rate, epochs))

        fitted = train_glove(
            found.counts,
            GloVeSettings(**options),
            n_threads=job.n_threads,
            seconds=seconds,
            resume=resumed,
            checkpoint=lambda reached: job.save_state(reached.to_arrays()),
            checkpoint_seconds=settings.checkpoint_seconds,
            progress=tell,
        )
    sides = (fitted.centres, fitted.contexts)
    arrays = {"centres": sides[0].vectors, "contexts": sides[1].vectors}
    arrays |= {"centre_biases": sides[0].biases, "context_biases": sides[1].biases}
    figures = {
        "pairs": n_pairs,
        "parameters": sum(side.vectors.size + side.biases.size for side in sides),
        "epochs": round(fitted.epochs, 3),
        "losses": fitted.losses,
        "training_seconds": fitted.seconds,
    }
    metrics = [{"epoch": i, "loss": loss} for i, loss in enumerate(fitted.losses, 1)]
    return Made(found.token_ids, found.frequencies, {"matrix": fitted.vectors()}, arrays, figures, metrics)
