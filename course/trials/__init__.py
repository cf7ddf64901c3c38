"""For each assignment, wrong solutions that students hand in, which must lose all points, and right ones that differ.

``WRONG[question][name]`` is a pair ``(old, new)``, a change of one place in the reference solution, or a whole answer;
``RIGHT[question][name]`` is a whole answer. Both may hold ``<<...>>`` as masters do. ``course/trial.py`` adds to every
function what goes wrong everywhere: NaN, a changed sign, a changed argument, a constant, and so on. What of that is
right here after all (the sign of a basis, say) stands in ``HARMLESS[question]`` and must earn all points.
"""
