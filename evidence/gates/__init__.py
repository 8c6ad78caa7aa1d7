"""Gates as data: what a run is judged by, which files a bundle of it must hold, and the pure judgement."""
