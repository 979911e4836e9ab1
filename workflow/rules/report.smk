# One HTML file that needs no network.
from unetflow.jobs.changed import changed_keys
from unetflow.jobs.schemas import read_schema


rule report:
    input:
        integrity="<results>/integrity.csv",
        outcome="<results>/outcome.tsv",
        table="<results>/evaluation/metrics.csv",
        stacks="<results>/evaluation/stacks.csv",
        histories=run_paths("models/{experiment}/fold{fold}/training.csv"),
        patches=paths_of_runs("models/{experiment}/fold{fold}/patches.npz", trained_runs()),
        models=run_paths("models/{experiment}/fold{fold}/model.json"),
        calibrations=run_paths("calibration/{experiment}/fold{fold}.json"),
        instances=image_paths("predictions/{experiment}/fold{fold}/instances/{bundle}.json", "test"),
        pictures=image_paths("pictures/{experiment}/fold{fold}/{bundle}.json", "test", "predict"),
        tiles=paths_of_images("tiles/{experiment}/fold{fold}/{bundle}.json", slides_of_runs()),
        unlike=unlike("report"),
    output:
        html=report(
            "<results>/report/index.html",
            caption="../report/report.rst",
            category="Report",
        ),
        headline="<results>/report/headline.txt",
        figures=report(
            directory("<results>/report/figures"),
            patterns=["{figure}.svg"],
            caption="../report/figures.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        tables=directory("<results>/report/tables"),
    log:
        "<logs>/report.log",
    benchmark:
        "<benchmarks>/report.tsv"
    conda:
        "../../envs/unetflow.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        **made_by(
            "report",
            config=config_of_report(),
            runs=files_of_runs,
            receipts=receipts_of_stages,
            pictures=pictures_of_images,
            tiles=tiles_of_slides,
            provenance=under_results("provenance.json"),
            changed=changed_keys(config_told(), read_schema(SCHEMAS / "config.schema.yaml")),
            parts=parts_of_results,
            without_effect={"command": os.environ.get(COMMAND, "")},
            code=code("report", *report_templates()),
        ),
    script:
        "../../scripts/report.py"
