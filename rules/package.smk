# The location of the package, and the digests of the code of each script.
import os
import sys
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path

from snakemake.sourcecache import HostingProviderFile

# Used as a module of another workflow, which may set a prefix for all files.
IS_MODULE = workflow.modifier.parent_modifier is not None
PREFIX = workflow.modifier.path_modifier.prefix or ""


def code_folder():
    """The folder of the package and the scripts.

    If another workflow names a repository with ``github(…)``, as the workflow catalog does, there is no
    checkout. Then these folders are copied from the repository into ``.snakemake``, once per commit.
    """
    here = workflow.current_basedir
    if not isinstance(here, HostingProviderFile):
        return Path(here.get_path_or_uri(secret_free=True)).parent / "workflow"
    repository = here.hosted_repo.repo
    commit = repository.commit(here.ref).hexsha
    folder = Path(".snakemake/semantic_tokens") / commit
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            partial = Path(temporary) / "checkout"
            with tempfile.TemporaryFile() as archive:
                repository.archive(archive, commit, path="workflow", format="zip")
                with zipfile.ZipFile(archive) as opened:
                    opened.extractall(partial)
            (partial / "commit").write_text(commit, encoding="utf-8")
            with suppress(OSError):  # another process was faster
                partial.rename(folder)
    return folder / "workflow"


CODE_FOLDER = code_folder()
sys.path.insert(0, str(CODE_FOLDER))
# Scripts import this checkout's package, which the digests describe, even if another checkout is
# installed.
os.environ.update(
    PYTHONPATH=os.pathsep.join(
        [str(CODE_FOLDER.resolve()), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
)

from semantic_tokens.study.code import Code

CODE = Code(CODE_FOLDER)
