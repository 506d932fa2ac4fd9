"""The model and the fit, as the user sees them, with one line for each thing that a fit can be asked."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from ..answers import generation
from ..answers.baselines.beside import beside_simple_methods
from ..answers.conditions import At
from ..answers.effects import batches, effects
from ..answers.fit_parts import fit_parts
from ..answers.inference import infer
from ..answers.laws.cluster_curves import to_lmfit
from ..answers.laws.comparison import compare
from ..answers.laws.derive import derive_quantities
from ..answers.laws.planned_tests import next_test
from ..answers.predictor import Predictor
from ..answers.record import TrainingRecord, checked_names, named
from ..answers.tables import cluster_parameters
from ..answers.trust.cautions import stability, strangers, summary
from ..answers.trust.diagnosis import diagnosis_of
from ..answers.trust.planning import next_measurements
from ..answers.trust.reliability import calibration_of
from ..data.files import path_of
from ..errors import OptionError, PimaWarning
from ..experts import Conditions, CurveQuantity, Diagnosis, Expert
from ..faces import tells_new_names
from ..fitting.options import ModelOptions, TrainingSettings
from ..fitting.run import Callback
from ..fitting.trackers import Tracker
from ..fitting.trained_model import make_ready, train
from ..model.modality import Modality
from ..report.export import export, known_kinds
from ..report.html import save_report
from ..report.text import text_report
from ..signatures import tells_misfits
from . import saving
from .findings import associations_of, gather, portraits_of

if TYPE_CHECKING:
    from lmfit.model import ModelResult


@final
@tells_misfits
class PIMA:
    """A physics-informed multimodal autoencoder, not yet fitted.

    Args:
        modalities: What was measured: the name of a variable of the dataset, and :class:`Neural` or :class:`Physics`.
        clusters: Number of populations, C; ``"auto"``: as many as the curves with known physics hold, found when the
            fit begins, as :func:`pima_toolkit.select_clusters` does.
        latent_dim: Latent dimensions, L.
        responsibilities: ``"exact"``: the ELBO's optimum in q(c given X); ``"latent"``: p(c given Z) integrated over
            q(Z); ``"sampled"``: the paper's eq. (15) as printed.
        consistency: Weight of KL(q(c given X) || p(c given Z)) in the networks' loss; with ``Physics(vary="latent")``
            also of what curves say about Z, so that Z carries the physics.
        beta: Weight of the latent terms of the ELBO.
        prior_expert: Multiply the posterior by N(0, I).
        combine: ``"product"``: modalities are independent given c; ``"posterior"``: the fused posterior's own
            responsibilities where all modalities are present.
        crossmodal: What answers for a modality alone: ``"mixture"``: an encoder with a Gaussian in each cluster;
            ``"gaussian"``: the paper's single one (eq. 18); ``"dropout"``: the encoders of the fused posterior, half of
            the specimens having one modality only while it is trained.
        inference: ``"evidence"``: every curve speaks about its own specimen's parameters, populations are found by EM
            on what they say, and other modalities are believed as far as specimens held out bear them out; of curves
            alone no network is trained. ``"paper"``: the encoders and rules of the paper, to which the options above
            belong. By default evidence where a curve has known physics and none of these options is given.

    Raises:
        OptionError: If an option is not one of these.

    Source: Trask, Martinez, Lee, Boyce 2022, arXiv:2202.03242.
    """

    def __init__(
        self,
        modalities: Mapping[str, Modality],
        clusters: int | Literal["auto"],
        latent_dim: int = 3,
        *,
        responsibilities: str = "exact",
        consistency: float = 10.0,
        beta: float = 1.0,
        prior_expert: bool = False,
        combine: str = "product",
        crossmodal: str = "mixture",
        inference: str | None = None,
    ) -> None:
        self.finds_clusters = isinstance(clusters, str)
        if isinstance(clusters, str):
            if clusters != "auto":
                raise OptionError(f"clusters={clusters!r}: expected a whole number of at least 1, or 'auto'")
            clusters = 1
        self.options = ModelOptions(
            dict(modalities),
            clusters,
            latent_dim,
            responsibilities,
            consistency,
            beta,
            prior_expert,
            combine,
            crossmodal,
            inference,
        )

    def fit(
        self,
        data: xr.Dataset,
        *,
        seed: int = 0,
        epochs: int | None = None,
        crossmodal_epochs: int | None = None,
        batch_size: int = 256,
        learning_rate: float = 5e-3,
        weight_decay: float = 1e-2,
        em: str = "online",
        update: str = "wls",
        restarts: int = 1,
        processes: int | None = None,
        patience: int | None = None,
        start: str = "auto",
        device: str = "auto",
        precision: str = "auto",
        crossfit: bool = True,
        groups: str | None = "auto",
        checkpoint: str | Path | None = None,
        callbacks: Sequence[Callback] = (),
        tracker: Tracker | None = None,
        progress: bool = True,
    ) -> Fit:
        """Fit to a dataset.

        Args:
            data: Variables with a ``specimen`` dim; NaN where a specimen lacks a modality.
            seed: Same seed, same machine: same answer.
            epochs: Passes over the data; by default enough for about 800 steps, between 6 and 60
                (``inference="paper"``: 400 steps, between 8 and 60).
            crossmodal_epochs: With ``inference="paper"``, as are ``em`` and ``patience``; without effect by evidence.
                Passes for the encoders of single modalities; by default ``epochs`` where that is given, else enough for
                about 800 steps, between 10 and 100; with ``Physics(vary="latent")`` 3200, up to 400. With
                ``crossmodal="dropout"`` there are none.
            batch_size: Specimens in a step; small data take smaller ones, an eighth of the specimens, at least 16.
            learning_rate: Highest rate of the one-cycle schedule.
            weight_decay: Decoupled weight decay of the networks.
            em: With ``inference="paper"``. ``"online"``: statistics from the training pass itself; ``"epoch"``: a full
                E-pass before each Adam pass (Algorithm 1), which costs a pass and, with few batches an epoch, sees
                batch norms that lag behind.
            update: ``"wls"``: experts by weighted least squares (eq. 17); ``"adam"``: by gradients, as the paper did.
            restarts: Independent runs, of which the one with the highest ELBO is kept.
            processes: Restarts at a time, each in a process with one torch thread; by default one after the other here.
            patience: With ``inference="paper"``. Stop when the ELBO has not risen for this many epochs; by default
                never.
            start: ``"auto"``: physics first, else the invariance of pictures, else a mixture of reconstructed latents;
                ``"random"``: cluster centres drawn from N(0, I), as the paper did.
            device: ``"auto"``, ``"cpu"``, ``"cuda"``.
            precision: Precision of the networks while training: ``"auto"``, ``"float32"``, ``"bfloat16"``. Answers are
                float32.
            crossfit: Hold specimens out, fold by fold, to find how far what pictures and settings say of curves can be
                believed (``inference="evidence"``); False: they are believed, and nothing was checked.
            groups: Coordinate along ``specimen`` that says which specimens belong together, such as ``"batch"``: they
                are held out together. ``"auto"``: one whose name says so (batch, lot, plate, wafer, laboratory ...),
                with at least ten values, and the summary tells it; None: every specimen by itself.
            checkpoint: Folder that is written after every epoch; the same call resumes there after a kill.
            callbacks: Called after every epoch with a ``Progress``; one that returns True stops the training.
            tracker: Where the numbers of every epoch go, such as ``pima.trackers.CSVTracker("track.csv")``.
            progress: Draw a progress bar.

        Returns:
            The fit. Ctrl-C ends training and returns the fit so far.

        Raises:
            DataError: If the data cannot be used; the message says what to do.
            OptionError: If a setting is not one of these.
            TrainingError: If the checkpoint belongs to other data or options.
        """
        settings = TrainingSettings(
            seed=seed,
            epochs=epochs,
            crossmodal_epochs=crossmodal_epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            em=em,
            update=update,
            restarts=restarts,
            patience=patience,
            start=start,
            device=device,
            precision=precision,
            crossfit=crossfit,
            groups=groups,
        )
        model = train(
            self.options,
            settings,
            data,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            callbacks=callbacks,
            tracker=tracker,
            progress=progress,
            processes=processes,
            find_clusters=self.finds_clusters,
        )
        return Fit(*fit_parts(model, data))

    def check(self, data: xr.Dataset, **training: Any) -> None:
        """Refuse what :meth:`fit` would refuse before its first step.

        Args:
            data: As for :meth:`fit`.
            **training: Its other arguments.

        Raises:
            DataError, OptionError, ShapeError, ExpertError: As :meth:`fit`.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PimaWarning)  # the fit says it
            make_ready(
                self.options,
                TrainingSettings.among(training),
                data,
                processes=training.get("processes"),
                find_clusters=self.finds_clusters,
            )

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}: {option}" for name, option in self.options.modalities.items())
        number = '"auto"' if self.finds_clusters else self.options.clusters
        return f"PIMA({{{parts}}}, clusters={number}, latent_dim={self.options.latent_dim})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(str(option))}</td></tr>"
            for name, option in self.options.modalities.items()
        )
        number = "clusters to be found" if self.finds_clusters else f"{self.options.clusters} clusters"
        size = f"{number}, {self.options.latent_dim} latent dimensions"
        return f"<b>PIMA</b>, {size}<table>{rows}</table>"


@final
@tells_misfits
@tells_new_names
class Fit:
    """A fitted model. Everything it returns is xarray, with units.

    Args:
        predictor: What every answer is computed from.
        record: What is remembered of the training.
    """

    def __init__(self, predictor: Predictor, record: TrainingRecord) -> None:
        self.predictor = predictor
        self.record = record

    # -- answers for specimens -----------------------------------------------------------------------------------------

    def infer(
        self,
        data: xr.Dataset,
        *,
        predict: Sequence[str] | str | None = None,
        seed: int = 0,
        coverage: float = 0.9,
        typical: bool = True,
        precision: str = "float32",
    ) -> xr.Dataset:
        """Infer what specimens are, and predict what was not measured of them.

        Args:
            data: Any subset of the modalities; variables this fit does not know are ignored.
            predict: Modalities to predict; all by default, ``()`` for none.
            seed: Seed of the samples behind neural predictions.
            coverage: Share of new measurements that the bands hold.
            typical: Whether to say how typical each is: most of a picture's time, as it is drawn again.
            precision: Precision of the networks; ``"auto"``: bfloat16 where the machine has units for it.

        Returns:
            ``responsibilities`` (specimen, cluster), ``cluster``, ``posterior_mean`` and ``posterior_variance``
            (specimen, latent), ``typicality``, ``out_of_population``, ``outside_range``, ``remark``, and each predicted
            modality; a physics modality with ``_low`` and ``_high``, and ``parameters``. A predicted curve is the
            responsibilities' mean of the populations' median curves, its band the quantiles of all that the populations
            may show. ``<name>_second`` and ``<name>_second_probability`` are the second population's median curve and
            its probability, where that is above 20 % and the two curves differ by more than twice the noise somewhere:
            the mean is then the curve of neither; NaN elsewhere. Of a specimen of which nothing was measured numbers
            are NaN, and its cluster is -1.

        Raises:
            DataError, ShapeError: If the data do not fit the training.
        """
        answer = infer(
            self.predictor,
            data,
            predict=predict,
            seed=seed,
            coverage=coverage,
            typical=typical,
            precision=precision,
        )
        return named(answer, self.record)

    def generate(self, cluster: int, n: int = 16, *, seed: int = 0, at: At = None) -> xr.Dataset:
        """Draw new specimens of a population.

        Args:
            cluster: Number of the population.
            n: How many specimens.
            seed: Same seed, same specimens.
            at: Covariates of the curves, ``{"strain_rate": 1}``; by default the population's means.

        Returns:
            Along ``specimen``: ``latent_position`` and each modality, of a Z and parameters drawn for each; curves have
            no noise.

        Raises:
            OptionError: If there is no such cluster or covariate, or ``n`` is no whole number of at least 1.
        """
        return generation.generate(self.predictor, cluster, n, seed, at)

    def decode(self, position: ArrayLike, *, at: At = None, coverage: float = 0.9) -> xr.Dataset:
        """Compute every modality at latent positions, as in a map of the latent space.

        Args:
            position: Shape (n, latent), dimensionless.
            at: Covariates of the curves; by default the populations' means, weighed by their responsibilities there.
            coverage: Share of new measurements that the bands hold.

        Returns:
            Along ``specimen``: ``latent_position``, ``responsibilities`` p(c given Z), and each modality; a physics
            modality with ``_low`` and ``_high``.

        Raises:
            ShapeError, DataError: If positions are not finite numbers of this shape.
        """
        return generation.decode(self.predictor, position, at, coverage)

    def traverse(self, cluster: int, *, std: float = 3.0, steps: int = 7, at: At = None) -> xr.Dataset:
        """Compute every modality along each latent axis through a population's centre.

        Args:
            cluster: Number of the cluster.
            std: How far to go to either side, in the cluster's standard deviations.
            steps: Positions along an axis.
            at: Covariates of the curves; by default the cluster's means.

        Returns:
            ``responsibilities`` and each modality, along (``latent``, ``step``); curves with 90 % bands.

        Raises:
            OptionError: If there is no such cluster or covariate, or ``steps`` is below 2.
        """
        return generation.traverse(self.predictor, cluster, std, steps, at)

    # -- populations and training --------------------------------------------------------------------------------------

    @property
    def clusters(self) -> xr.Dataset:
        """The populations: weight, latent mean and variance, each modality at the centre, median curves, 90 % bands."""
        return named(generation.clusters(self.predictor), self.record)

    @property
    def names(self) -> list[str]:
        """What people call the populations; none were given: empty.

        ``fit.names = ["brittle", "ductile"]`` gives them, in the order of their numbers. Tables, reports and exports
        have them from then on, as ``population`` along ``cluster`` and ``belongs_to`` along ``specimen``, and a saved
        fit keeps them.
        """
        return list(self.record.facts.get("names", []))

    @names.setter
    def names(self, names: Sequence[str]) -> None:
        self.record.facts["names"] = checked_names(names, self.predictor.options.clusters)

    def portraits(self) -> xr.Dataset:
        """What distinguishes each population: parameters by which its specimens differ from the others, and settings.

        A parameter is told where it is off by more than 0.8 standard deviations, a setting where the populations go
        with it (:meth:`associations`, with batches kept together) and this one differs; of all that is told 5 % may be
        chance. Populations were made of what curves say of parameters: there the size counts.

        Returns:
            Along ``cluster``: ``sentence``; ``typical``, ``extreme`` and ``borderline``, three specimens each, the
            first along ``rank`` the most so.
        """
        return portraits_of(self.record)

    @property
    def parameters(self) -> xr.Dataset:
        """Physical parameters of each population, and how well the law fits.

        Per parameter, with units: value, std_error, low and high (the interval of the level and by the method that
        ``attrs`` name: populations that overlap are less sure of theirs), scatter_std (between specimens), at_bound,
        unidentified. Per curve: noise_std; misfit, by how much the law misses the mean curve; misfit_ratio, that over
        its standard error (about 1 or less where the law holds); agreement, the share of starts that end at the best
        optimum.
        """
        return named(cluster_parameters(self.predictor, self.record), self.record)

    @property
    def effects(self) -> xr.Dataset:
        """What parameters depend on, along (effect), such as ``"E ~ temperature"``, the same in every population.

        ``value``, ``std_error``, ``low``, ``high``, ``p_value`` of no effect and ``freedom``: the change of the
        parameter's ``scale``, the logarithm of a positive one, by one unit of the ``term``. ``slope``, along (cluster,
        effect): of the parameter itself, at the ``reference`` where :attr:`parameters` are said, the terms' means.
        Which specimen belongs to which population is taken as found.

        Raises:
            OptionError: If no modality has ``depends_on``.
        """
        return effects(self.predictor)

    @property
    def batches(self) -> xr.Dataset:
        """How the batches of ``groups`` differ, in each fitted parameter's ``scale`` as in :attr:`effects`.

        ``std`` between batches (parameter); ``effect`` of each batch with ``effect_std``, (group, parameter).

        Raises:
            OptionError: If no modality has ``groups``.
        """
        return batches(self.predictor)

    @property
    def specimens(self) -> xr.Dataset:
        """The training specimens: responsibilities, and each one's own physical parameters with standard errors.

        ``low`` and ``high`` are the interval of the level and by the method that ``attrs`` name.
        ``stranger``, of ``inference="evidence"``, is the probability that a specimen belongs to no population. Where
        curves are stress against strain, ``tensile_value``, ``tensile_std_error`` and ``tensile_about`` have what every
        test report has: see :func:`pima_toolkit.tensile_quantities`.
        """
        return named(self.record.specimens.copy(), self.record)

    @property
    def strangers(self) -> xr.Dataset:
        """The training specimens that belong to no population with a probability above 0.5.

        Along ``specimen``: ``stranger``, that probability, by what the curves say; ``responsibilities`` and
        ``cluster``, as if a population had to be named. Empty where there are none, where ``scatter="none"``, whose
        populations leave nobody out, and of ``inference="paper"``, which does not ask.
        """
        return strangers(self.record)

    @property
    def history(self) -> xr.Dataset:
        """Training, one row per epoch: elbo, terms, occupancy, consistency, learning_rate, seconds."""
        return self.record.history.copy()

    @property
    def elbo(self) -> float:
        """Mean ELBO of a training specimen in the last epoch, nats; restarts are chosen by it and by priors."""
        history = self.record.history
        return float(history.elbo[-1]) if history.sizes["epoch"] else float("-inf")

    @property
    def model(self) -> PIMA:
        """The model this is a fit of."""
        options = self.predictor.options
        return PIMA(**{f.name: getattr(options, f.name) for f in fields(options)})

    @property
    def settings(self) -> TrainingSettings:
        """Settings of the training."""
        return self.record.settings

    @property
    def interrupted(self) -> bool:
        """True if training was stopped by hand before its end."""
        return bool(self.record.facts["interrupted"])

    # -- physics -------------------------------------------------------------------------------------------------------

    def to_lmfit(self, cluster: int, modality: str | None = None, *, data: xr.Dataset | None = None) -> ModelResult:
        """Fit one population's curves by lmfit: its report, confidence intervals by profile likelihood, and plots.

        Data are its mean curve with the root of the responsibilities over the noise as weights; chi-square, degrees of
        freedom and the scaled covariance are those of all its curves' points. lmfit takes these points as
        independent: where specimens differ its errors are too small, and those of :attr:`parameters` hold. A parameter
        at its bound is held there, so that the others have errors. With ``scatter="none"`` the best parameters are
        those of :attr:`parameters`; otherwise those weigh the points of a curve by how specimens differ.

        Args:
            cluster: Number of the cluster.
            modality: A physics modality; needed where there are several.
            data: The training set, for a fit read from a file.

        Returns:
            An ``lmfit.model.ModelResult``: ``.fit_report()``, ``.conf_interval()``, ``.plot()``.

        Raises:
            OptionError: If there is no such cluster or modality.
            DataError: If the data are missing, others, or too few.
            MissingDependency: If lmfit is not installed.
        """
        return to_lmfit(self.predictor, self.record, cluster, modality, data)

    def derive(
        self,
        quantities: Mapping[str, str | CurveQuantity],
        units: Mapping[str, str] | None = None,
        *,
        modality: str | None = None,
        at: Mapping[str, float] | None = None,
    ) -> xr.Dataset:
        """Derive quantities of every population with propagated errors, such as ``{"energy": "sigma_y**2 / (2*E)"}``.

        Args:
            quantities: By the name it shall have, a formula of the parameters in :attr:`parameters`, or a measure of
                the population's curve: ``pima.quantities.offset_yield()``, ``resilience()``, ``toughness()``,
                ``ultimate()``.
            units: Units of the formulas.
            modality: A physics modality; needed where there are several.
            at: Values of covariates, for measures of the curve.

        Returns:
            ``value``, ``std_error``, ``low`` and ``high`` (cluster, quantity), with ``unit``, level and method;
            ``reason``, why there is no value.

        Raises:
            FormulaError: If a formula cannot be read, or names what is no parameter.
            OptionError: If there is no such modality, or something is missing.
            ExpertError: If a measure does not go with the law.
        """
        return derive_quantities(self.predictor, self.record, quantities, units, modality, at)

    def compare(
        self,
        experts: Sequence[str | Expert | type[Expert]],
        modality: str | None = None,
        *,
        data: xr.Dataset | None = None,
        folds: int = 5,
        seed: int = 0,
    ) -> xr.Dataset:
        """Compare several laws by how well each predicts specimens of each population that were left out of its fit.

        Specimens belong to the populations as in this fit, which may favour its own law a little where they overlap.
        Likelihoods let specimens differ, so that a curve counts once and not once a point, whatever ``scatter`` is.

        Args:
            experts: Names, experts or classes of them: ``["linear_hardening", "voce"]``. The law of this fit is
                compared too; one of its name given here takes its place.
            modality: A physics modality; needed where there are several.
            data: The training set, for a fit read from a file.
            folds: Parts of the specimens of which each is left out once.
            seed: Seed of the division into parts.

        Returns:
            The table of :func:`pima_toolkit.compare_experts`; ``attrs["reading"]`` says what it means, ``fitted``
            (expert) which law is that of this fit.

        Raises:
            OptionError: If no law but that of the fit is given, or there is no such modality.
            DataError: If the data are missing or others, or a law lacks an input.
        """
        return compare(self.predictor, self.record, experts, modality, data, folds, seed)

    # -- trust, and what to do next ------------------------------------------------------------------------------------

    def summary(self) -> str:
        """Say in plain words whether to trust this fit: what was checked, a verdict, and what speaks against it.

        First stands by how much curves of specimens held out, predicted from their other modalities, were missed, and
        training curves by their own law and their population's; beside each the mean of the other curves.

        Looked for are populations that are empty, tiny or the same as another, restarts that disagree, an ELBO that
        was still rising, laws that miss their curves, parameters at a bound or not determined, bands that do not hold
        what the model says, specimens that belong nowhere. Nothing found is no proof.
        """
        return summary(self.predictor, self.record)

    def diagnose(self, data: xr.Dataset) -> Diagnosis:
        """Look for what speaks against the laws of this fit in specimens' curves, population by population.

        Args:
            data: Specimens with curves, such as the training data; of a population of more than 400 some, evenly.

        Returns:
            The findings, worst first, each with a sentence, its evidence, a remedy where there is one, and a figure:
            ``print(fit.diagnose(data))``, ``.to_dataframe()``, ``.plot()``, ``.plot("residuals_t")``.

        Raises:
            DataError, ShapeError: If the data do not fit the training.
            ExpertError: If no specimen has a curve with more points than its law has parameters.
        """
        return diagnosis_of(self.predictor, self.record, data)

    def check(
        self, data: xr.Dataset, modality: str | None = None, methods: str | Sequence[str] | None = None
    ) -> xr.Dataset:
        """Set the fit beside simple methods, which predict the same specimens held out from the same others.

        The result is remembered: :meth:`summary` and reports tell it from then on, and a saved fit keeps it.

        Args:
            data: The training data.
            modality: The curve that is predicted; by default the first with known physics.
            methods: Names of the simple methods, see :func:`pima_toolkit.baselines`; by default all.

        Returns:
            Along ``baseline``, ``"this fit"`` first: ``rmse``, ``rmse_std_error``, ``rmse_above_best`` with its paired
            standard error, ``coverage`` of the 90 % band (the fit's own, before it is set right by these specimens).
            ``attrs["reading"]`` says it in words.

        Raises:
            DataError: If nothing was held out in this fit, or the data are others.
            OptionError: If there is no such modality or method.
        """
        return beside_simple_methods(self.predictor, self.record, data, modality, methods)

    @property
    def stability(self) -> xr.Dataset:
        """Agreement of restarts, shares of the populations, and the specimens that are uncertain.

        ``elbo`` (restart), with the priors of parameters; ``agreement`` (restart, other), the adjusted Rand index of
        their clusters; ``occupancy`` (cluster); per specimen ``probability`` of its cluster, ``restarts_agree``, the
        share of the other restarts that put it into the same one (NaN where there was one run), and ``uncertain``,
        where the probability is below 0.9 or half of the restarts or more disagree.
        """
        return stability(self.record)

    def calibration(self, data: xr.Dataset, labels: str | None = None) -> xr.Dataset:
        """Judge whether probabilities and bands hold what they say, on specimens not trained on.

        Args:
            data: Specimens with what was measured of them; a curve is predicted from the other modalities alone.
            labels: A coordinate along specimen with what they are, to judge probabilities of clusters by.

        Returns:
            With curves to judge: ``held`` (modality, coverage), the share of the measured points inside the band of
            that coverage. With labels: along ``bin`` ``confidence``, ``accuracy``, ``specimens``, and
            ``attrs["calibration_error"]``. ``plots.plot_calibration`` draws it.

        Raises:
            DataError: If there is neither a curve with another modality beside it, nor a label.
            OptionError: If the labels are no coordinate of the data.
        """
        return calibration_of(self.predictor, data, labels)

    def associations(
        self,
        settings: xr.Dataset | None = None,
        names: Sequence[str] | None = None,
        *,
        permutations: int = 9999,
        groups: str | None = "auto",
    ) -> xr.Dataset:
        """Whether the populations follow the process settings: a permutation test of each.

        Specimens of one batch count together: whole batches are shuffled where a setting changes with them, and
        specimens inside each where it changes there.

        Args:
            settings: Coordinates and variables along ``specimen`` of the training specimens; by default the
                coordinates the training data had.
            names: Which of them; by default all that vary.
            permutations: Number of shuffles.
            groups: Name of what tells the batch of each specimen; ``"auto"``: that of the fit, else one whose name says
                so; None: every specimen was made by itself.

        Returns:
            Along ``setting``: ``effect`` (share of the setting's variance explained, 0 to 1), ``p_value``,
            ``p_adjusted`` (Holm), ``q_value`` (Benjamini and Hochberg), ``kind``, ``specimens``, ``shuffled``, what was
            shuffled, and ``units``, how many. ``attrs["reading"]`` says what was done about batches.
            ``plots.plot_settings`` draws it.

        Raises:
            DataError: If a name is unknown, or the settings are of other specimens.
            OptionError: If the groups are nothing along ``specimen``.
        """
        return associations_of(self.record, settings, names, permutations=permutations, groups=groups)

    def next_measurements(self, data: xr.Dataset, modality: str, *, n: int | None = None, seed: int = 0) -> xr.Dataset:
        """Rank the specimens that lack a modality by what its measurement should teach; of equals, the odd first.

        Args:
            data: Specimens and what was measured of them; those that have the modality are left out.
            modality: The measurement to plan.
            n: How many to return; all by default.
            seed: Seed of the measurements drawn from each population.

        Returns:
            Along ``specimen``, best first: ``information`` = ``about_population`` + ``about_physics`` (nats),
            ``reason`` in words, ``responsibilities``, ``cluster``, ``typicality``, ``out_of_population``.

        Raises:
            DataError: If nothing is left to measure, or nothing was measured yet.
            OptionError: If the modality is none of this fit's.
        """
        return next_measurements(self.predictor, data, modality, n=n, seed=seed)

    def next_test(
        self,
        candidates: Conditions,
        modality: str | None = None,
        *,
        about: str | Sequence[str] | None = None,
        n: int | None = None,
        at: Mapping[str, float] | None = None,
        cluster: int = 0,
        versus: int | str | Expert | None = None,
        data: xr.Dataset | None = None,
    ) -> xr.Dataset:
        """Rank tests of one more specimen, under conditions to choose among, by what they should tell of a law.

        The law is fitted to the training curves again, as :meth:`Expert.fit` does, with the responsibilities of this
        fit; the plan is that of :meth:`Solution.next_test`.

        Args:
            candidates: Values of every condition by name, in all combinations: ``{"temperature": [300, 350, 400]}``;
                under the name of the independent variable a list of grids.
            modality: A physics modality; needed where there are several.
            about: Names of parameters and of effects such as ``"E ~ temperature"``; everything by default.
            n: How many tests to plan one after another; by default every candidate is ranked by itself.
            at: Conditions under which parameters are asked about.
            cluster: The population.
            versus: What to tell it apart from instead: another population, by number, or another law of these curves.
            data: The training set, for a fit read from a file, and where parameters depend on covariates.

        Returns:
            Along ``test``, best first, as :meth:`Solution.next_test`.

        Raises:
            OptionError: If there is no such modality, or conditions are missing or unknown.
            DataError: If the data are missing or others.
            ExpertError: If the population has too few specimens, or ``about`` names what was not estimated.
        """
        planned = about, n, at
        return next_test(self.predictor, self.record, candidates, modality, data, cluster, versus, *planned)

    # -- reports and files ---------------------------------------------------------------------------------------------

    def report(self) -> str:
        """Populations, physics with errors and units, and what to be careful about, as text.

        It has the sections of :meth:`save_report` that need no data, but for the test of process settings.
        """
        return text_report(gather(self.predictor, self.record))

    def save_report(self, path: str | Path, data: xr.Dataset | None = None, new: xr.Dataset | None = None) -> Path:
        """Write the report as one HTML file with figures inside, to read, print and send.

        Args:
            path: The file; ``.html`` is added where it has no ending.
            data: The training data, for pictures of the populations, the latent map and specimens unlike the others.
            new: Other specimens, to predict.

        Raises:
            DataError: If ``data`` are not the training specimens.
        """
        return save_report(gather(self.predictor, self.record, data, new, settings=True), path_of(path))

    def export(self, folder: str | Path, data: xr.Dataset | None = None, **kinds: Sequence[str]) -> list[Path]:
        """Write tables (``formats=("csv", "xlsx", "nc")``) and figures (``figures=("svg", "pdf", "png")``) to a folder.

        By default CSV and SVG; with ``data``, such as the training data, their predictions and bands too. Units stand
        in the header. Returns the files; unknown formats raise OptionError, a full disk StorageError.
        """
        known = known_kinds(**kinds)
        return export(gather(self.predictor, self.record, new=data), path_of(folder), **known)

    def save(self, path: str | Path) -> Path:
        """Write everything to one file; nothing in it is executed when it is read."""
        return saving.save(self.predictor, self.record, path_of(path))

    def __repr__(self) -> str:
        share = np.sort(self.predictor.state.mixture.log_weights.exp().cpu().numpy())[::-1]
        shares = ", ".join(f"{100 * s:.0f} %" for s in share)
        return f"<Fit of {self.model!r}: {self.record.facts['specimens']} specimens, clusters of {shares}>"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.report())}</pre>"


@tells_misfits
def load(path: str | Path, *, model: PIMA | None = None, limits: float = 1.0) -> Fit:
    """Read a fit written by :meth:`Fit.save`.

    Args:
        path: The file, or a run's folder that holds it as ``fit.pima``.
        model: Needed only where the fit was made with torch modules of your own: a model with the same modules.
        limits: Factor on how far the file may inflate, for a file that you trust.

    Raises:
        FileFormatError: If the file is none of ours, damaged, or of a newer version; the field is named.
    """
    if model is not None and not isinstance(model, PIMA):
        raise OptionError(f"model={model!r}: expected the pima.PIMA(...) with the modules of the fit, or None")
    return Fit(*saving.load(path_of(path), None if model is None else model.options, limits))
